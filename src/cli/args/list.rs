//! `pgark list` as it is typed.

use super::Common;
use crate::ops::list::Sort;
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use clap::{Args, ValueEnum};

/// List the archives of a repository.
///
/// Lists what manifests/ holds, the oldest first. VERIFIED says `when written` where the file has
/// still the size that it had when it was read again and verified, before it was published. Its
/// bytes are not read: `pgark verify` tells whether they are as they were.
#[derive(Debug, Args)]
pub struct List {
    /// Only archives of this database.
    #[arg(long, short, value_name = "NAME")]
    pub database: Option<String>,
    /// Only archives from this time on: 2026-01-31, 2026-01-31T02:00 (UTC), 36h, 7d, 2w.
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<DateTime<Utc>>,
    /// Only archives up to this time; a day alone is meant with all its hours.
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub until: Option<DateTime<Utc>>,
    /// What to sort by, the smallest first.
    #[arg(long, value_name = "BY", default_value = "time")]
    pub sort: By,
    /// Only the last N in that order.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// What to sort by.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs, reason = "as in ops::list::Sort")]
pub enum By {
    Time,
    Name,
    Database,
    Size,
    Rows,
    Tables,
}

impl From<By> for Sort {
    fn from(by: By) -> Self {
        match by {
            By::Time => Self::Time,
            By::Name => Self::Name,
            By::Database => Self::Database,
            By::Size => Self::Size,
            By::Rows => Self::Rows,
            By::Tables => Self::Tables,
        }
    }
}

fn since(text: &str) -> Result<DateTime<Utc>, String> {
    time(text, false)
}

fn until(text: &str) -> Result<DateTime<Utc>, String> {
    time(text, true)
}

/// A point in time: RFC 3339, a day or a time of a day in UTC, or so long ago. Of a whole day the
/// begin is meant, or with `end` its end.
fn time(text: &str, end: bool) -> Result<DateTime<Utc>, String> {
    let wrong =
        || String::from("a time is 2026-01-31, 2026-01-31T02:00, or an age such as 36h, 7d or 2w");
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let day = if end { day.checked_add_days(Days::new(1)).ok_or_else(wrong)? } else { day };
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    for format in ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(time.and_utc());
        }
    }
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let age = match unit {
        "m" => TimeDelta::try_minutes(number),
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        "w" => TimeDelta::try_weeks(number),
        _ => None,
    };
    let age = age.filter(|age| *age >= TimeDelta::zero()).ok_or_else(wrong)?;
    Utc::now().checked_sub_signed(age).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let read = |text: &str, end| time(text, end).map(|time| time.to_rfc3339());
        let is = |text: &str, end, expected: &str| {
            assert_eq!(read(text, end).unwrap(), format!("{expected}+00:00"), "{text}");
        };
        is("2026-01-31", false, "2026-01-31T00:00:00");
        is("2026-01-31", true, "2026-02-01T00:00:00");
        is("2026-01-31T02:00", true, "2026-01-31T02:00:00");
        is("2026-01-31 02:00:07", false, "2026-01-31T02:00:07");
        is("2026-01-31T02:00:00+02:00", false, "2026-01-31T00:00:00");
        let age = Utc::now() - time("36h", false).unwrap();
        assert!((age - TimeDelta::hours(36)).abs() < TimeDelta::minutes(1));
        for wrong in ["", "d", "7", "7y", "-7d", "2026-13-01", "99999999999999d", "yesterday", "é"]
        {
            assert!(time(wrong, false).is_err(), "{wrong}");
        }
    }
}
