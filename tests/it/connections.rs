//! How servers are reached, as libpq reaches them.

/// Names and issuers of certificates, and certificates of clients.
mod certificates;
/// The six modes, negotiation, channel binding.
mod encryption;
/// Several hosts, and which of them is wanted.
mod hosts;
/// Users and passwords: files, variables, methods; and that a password is never shown.
mod logins;
/// Behind a real PgBouncer.
mod poolers;
/// Where parameters come from: strings, variables, service files; sockets.
mod strings;
