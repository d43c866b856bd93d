//! significant
