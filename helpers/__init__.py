"""What all notebooks of the series share. Importing this package imports nothing heavy."""
