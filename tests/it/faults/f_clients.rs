//! Rows of section f.
