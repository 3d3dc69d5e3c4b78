"""What everything stands on: MXNet and its libraries, files written whole, arguments checked."""
