//! Rows of section d.
