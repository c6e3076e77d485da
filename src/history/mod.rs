//! What was kept, read back: reports, suggestions, and the check of the chain.
