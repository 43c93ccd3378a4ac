"""The `northgate` command: thin commands that read arguments, call one function and print what it returns."""
