//! What a run tells while it runs.

use std::fmt;

/// A piece of a phase's work that keeps one worker busy.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    /// What people know it by: a table, a member of an archive.
    pub name: &'a dyn fmt::Display,
    /// How many pieces of the phase have this name.
    pub parts: u64,
    /// How many bytes of the phase's total it stands for.
    pub bytes: u64,
}

/// Hears what happens. Called from several threads.
///
/// What a thread moves between [`begin`](Observer::begin) and [`end`](Observer::end) belongs to that
/// item. Names are only written out by those who show them.
pub trait Observer: Sync {
    /// A phase of the run begins; `total` is the bytes it is expected to move, where known.
    fn phase(&self, what: &str, total: Option<u64>);
    /// The phase turns out to move about so many bytes.
    fn expect(&self, total: u64);
    /// The calling thread is busy with an item from here on.
    fn begin(&self, item: &Item<'_>);
    /// The calling thread has done its item.
    fn end(&self);
    /// Rows and bytes have been moved since the last call.
    fn moved(&self, rows: u64, bytes: u64);
    /// Something for those who want to know everything.
    fn detail(&self, text: &str);
    /// Something that the operator should know, and that is no failure.
    fn note(&self, text: &str);
    /// Something that the operator should look after.
    fn warn(&self, text: &str);
}

/// Hears nothing.
pub struct Silent;

impl Observer for Silent {
    fn phase(&self, _: &str, _: Option<u64>) {}
    fn expect(&self, _: u64) {}
    fn begin(&self, _: &Item<'_>) {}
    fn end(&self) {}
    fn moved(&self, _: u64, _: u64) {}
    fn detail(&self, _: &str) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}
