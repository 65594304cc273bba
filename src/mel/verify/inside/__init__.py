"""What runs inside a sandbox, as plain files of the standard library: nothing of mel is in reach there."""
