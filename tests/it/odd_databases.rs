//! Databases as they should not be, and are.

/// Names that break what does not quote them, and encodings other than UTF-8.
mod names;
/// Partitions, inheritance, sequences, extensions, large objects.
mod shapes;
/// No tables, thousands of tables, values and tables of many megabytes.
mod sizes;
/// Every value that text formats get wrong.
mod values;
