//! How servers are reached, as libpq reaches them.

/// The six modes, negotiation, channel binding.
mod encryption;
