//! What pgark says while it runs and when it ends: at a terminal, in a log, to a program; when
//! connections fail; when signals come; in cron's bare world.

/// Nothing but what cron gives.
mod cron;
/// Connections that fail, each with its code and words.
mod faults;
/// Signals in each phase.
mod signals;
/// The bar, the lines below it, and the password prompt.
mod terminal;
/// Help texts, errors and summaries, word for word.
mod words;
