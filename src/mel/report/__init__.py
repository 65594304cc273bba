"""What came of a run, for people: tables in a terminal and one offline HTML page. Reads run directories only."""
