//! What the end-to-end programs share.
