//! Requests to cancel what a session is at.

use super::dial::dial;
use super::target::Target;
use super::watch::Key;
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use std::io::{Read, Write};

/// Cancels what a session is at, from another thread.
#[derive(Clone)]
pub struct Canceller {
    /// The session's server; a request must reach the same address in the same way.
    target: Target,
    key: Key,
}

impl Canceller {
    /// For the session that was given `key` by the server which `target` was narrowed to.
    pub fn new(target: Target, key: Key) -> Self {
        Self { target: target.with_patience(), key }
    }

    /// Asks the server to cancel (PostgreSQL, "Canceling Requests in Progress"). A session that is
    /// idle or gone takes no notice.
    pub fn cancel(&self) {
        let mut request = BytesMut::new();
        frontend::cancel_request(self.key.process, self.key.secret, &mut request);
        // The run fails with the interruption whether or not the server heard of it.
        if let Ok(mut stream) = dial(&self.target)
            && stream.write_all(&request).and_then(|()| stream.flush()).is_ok()
        {
            // It closes when it has passed the request on.
            drop(stream.read(&mut [0]));
        }
    }
}
