//! What a run tells while it runs.

/// Hears what happens. Called from several threads.
pub trait Observer: Sync {
    /// A phase of the run begins; `total` is the bytes it is expected to move, where known.
    fn phase(&self, what: &str, total: Option<u64>);
    /// Rows and bytes have been moved since the last call.
    fn moved(&self, rows: u64, bytes: u64);
    /// Something that the operator should know, and that is no failure.
    fn note(&self, text: &str);
    /// Something that the operator should look after.
    fn warn(&self, text: &str);
}

/// Hears nothing.
pub struct Silent;

impl Observer for Silent {
    fn phase(&self, _: &str, _: Option<u64>) {}
    fn moved(&self, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}
