//! What `--json` prints: one object per line, the result last. `docs/json.md` specifies it.

use super::progress::tally::View;
use super::report::to_stdout;
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

/// The version of what `--json` prints. It grows when a field goes or changes its meaning; new
/// events and new fields may come without.
pub const VERSION: u32 = 1;

/// Prints an event. Whoever does not want to hear of it, or has gone, is no failure of the run.
pub fn event(event: &str, mut fields: Value) {
    fields["json_version"] = VERSION.into();
    fields["event"] = event.into();
    fields["time"] = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true).into();
    drop(to_stdout(&fields.to_string()));
}

/// Prints how the run stands.
pub(super) fn progress(view: &View) {
    event(
        "progress",
        json!({
            "phase": view.phase,
            "seconds": view.elapsed.as_secs_f64(),
            "rows": view.rows,
            "bytes": view.bytes,
            "bytes_per_second": view.rate,
            "fraction": view.fraction,
            "seconds_left": view.left.map(|left| left.as_secs()),
        }),
    );
}

/// A result as the last line.
pub fn result(mut fields: Value) -> String {
    fields["json_version"] = VERSION.into();
    fields["event"] = "result".into();
    fields.to_string()
}
