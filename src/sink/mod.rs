//! Where records go: a file of lines, a database, the terminal, memory, and whoever follows.
