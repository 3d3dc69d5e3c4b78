"""Networks of other engines, read as graphs of MXNet's operators, run, trained and written."""
