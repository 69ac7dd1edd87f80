//! How a run stands, in words that fit a line.

use super::tally::{Busy, View};
use console::{measure_text_width, truncate_str};
use indicatif::{HumanBytes, HumanCount};
use std::time::Duration;

/// The longest that the drawn bar gets.
const BAR: usize = 30;

/// Below this it says nothing.
const SHORTEST_BAR: usize = 6;

/// Words make room for so much of it, with its brackets.
const LEAST_BAR: usize = 12;

/// The lines of a screen: the phase, and one for each worker, as far as there is room.
pub fn screen(view: &View, width: usize, height: usize) -> Vec<String> {
    // A line that reaches the last column may wrap.
    let width = width.saturating_sub(1).max(1);
    let mut lines = vec![whole(view, width)];
    let room = height.saturating_sub(2);
    let shown = if view.workers.len() > room { room.saturating_sub(1) } else { view.workers.len() };
    lines.extend(view.workers.iter().take(shown).map(|busy| worker(busy, width)));
    if view.workers.len() > shown && room > 0 {
        let more = view.workers.len() - shown;
        lines.push(truncate_str(&format!("  and {more} more"), width, "…").into_owned());
    }
    lines
}

/// One line for logs.
pub fn plain(view: &View) -> String {
    let mut words = Vec::new();
    match view.fraction {
        Some(fraction) => words.push(percent(fraction)),
        None => words.push(duration(view.elapsed)),
    }
    if view.bytes > 0 {
        words.extend(amounts(view.rows, view.bytes, view.rate));
    }
    words.extend(view.left.map(|left| format!("about {} left", duration(left))));
    format!("{}: {}", view.phase, words.join(", "))
}

fn whole(view: &View, width: usize) -> String {
    let mut words = Vec::new();
    match view.fraction {
        Some(fraction) => words.push(format!("{:>4}", percent(fraction))),
        None => words.push(duration(view.elapsed)),
    }
    if view.bytes > 0 {
        words.extend(amounts(view.rows, view.bytes, view.rate));
    }
    let left = view.left.map(|left| format!("{} left", duration(left)));
    let bar = view.fraction.map(|fraction| move |room: usize| draw(fraction, room));
    fit(&view.phase, words, left, bar, width)
}

fn worker(busy: &Busy, width: usize) -> String {
    let name = match busy.part {
        (_, 0 | 1) => format!("  {}", busy.name),
        (part, parts) => format!("  {} {part}/{parts}", busy.name),
    };
    let mut words = Vec::new();
    if busy.bytes > 0 {
        words.extend(amounts(busy.rows, busy.bytes, busy.rate));
    }
    let left = busy.left.map(|left| format!("{} left", duration(left)));
    fit(&name, words, left, None::<fn(usize) -> Option<String>>, width)
}

fn amounts(rows: u64, bytes: u64, rate: u64) -> Vec<String> {
    let mut words = vec![HumanBytes(bytes).to_string()];
    if rate > 0 {
        words.push(format!("{}/s", HumanBytes(rate)));
    }
    if rows > 0 {
        words.push(format!("{} rows", HumanCount(rows)));
    }
    words
}

/// The name, what there is room for of the bar, and as many of the words as fit, the first first; the
/// time that is left stands last, and before all of them but the first one.
fn fit(
    name: &str,
    mut words: Vec<String>,
    left: Option<String>,
    bar: Option<impl Fn(usize) -> Option<String>>,
    width: usize,
) -> String {
    const GAP: usize = 2;
    let taken = |words: &[String]| -> usize {
        words.iter().map(|word| measure_text_width(word) + GAP).sum()
    };
    // Half of the line is the name's, and more where the rest leaves it.
    let name_width = measure_text_width(name);
    let least = name_width.min(width / 2);
    let for_bar = if bar.is_some() { LEAST_BAR + GAP } else { 0 };
    let for_left = left.as_ref().map_or(0, |left| measure_text_width(left) + GAP);
    while words.len() > 1 && least + taken(&words) + for_left + for_bar > width {
        words.pop();
    }
    words.extend(left);
    while !words.is_empty() && least + taken(&words) > width {
        words.pop();
    }
    let name = truncate_str(name, width - taken(&words).min(width), "…");
    let mut line = name.into_owned();
    let room = width.saturating_sub(measure_text_width(&line) + taken(&words));
    let drawn = bar.and_then(|bar| bar(room.saturating_sub(GAP)));
    for word in drawn.into_iter().chain(words) {
        line.push_str("  ");
        line.push_str(&word);
    }
    line
}

fn draw(fraction: f64, room: usize) -> Option<String> {
    let inside = room.checked_sub(2)?.min(BAR);
    if inside < SHORTEST_BAR {
        return None;
    }
    let filled = (fraction * inside as f64) as usize;
    let mut bar = "=".repeat(filled.min(inside));
    if filled < inside {
        bar.push('>');
    }
    Some(format!("[{bar:<inside$}]"))
}

/// Whole percents, rounded down: 100 % is said when all is done.
fn percent(fraction: f64) -> String {
    format!("{}%", (fraction * 100.0) as u32)
}

/// `42 s`, `3 min 12 s`, `2 h 5 min`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(workers: usize) -> View {
        let busy = |number: usize| Busy {
            name: format!("public.a_table_with_a_long_name_{number}"),
            part: (3, 17),
            rows: 12_345,
            bytes: 5 << 20,
            rate: 3 << 20,
            left: Some(Duration::from_secs(4)),
        };
        View {
            phase: String::from("reading the rows"),
            elapsed: Duration::from_secs(10),
            rows: 1_234_567,
            bytes: 3 << 30,
            fraction: Some(0.42),
            rate: 85 << 20,
            left: Some(Duration::from_secs(192)),
            workers: (0..workers).map(busy).collect(),
        }
    }

    #[test]
    fn lines_are_never_wider_than_the_screen_and_never_more_than_fit() {
        for width in 1..160 {
            for height in [2, 3, 5, 24] {
                let lines = screen(&view(6), width, height);
                assert!(lines.len() < height.max(2), "{width}x{height}: {lines:#?}");
                for line in &lines {
                    assert!(measure_text_width(line) < width.max(2), "{width}: {line:?}");
                }
            }
        }
    }

    #[test]
    fn a_wide_screen_shows_everything() {
        let lines = screen(&view(1), 120, 24);
        assert_eq!(
            lines,
            [
                "reading the rows  [============>                 ]   42%  3.00 GiB  85.00 MiB/s  1,234,567 rows  3 min 12 s left",
                "  public.a_table_with_a_long_name_0 3/17  5.00 MiB  3.00 MiB/s  12,345 rows  4 s left",
            ]
        );
        let usual = screen(&view(1), 80, 24);
        assert_eq!(
            usual[0],
            "reading the rows  [=====>       ]   42%  3.00 GiB  85.00 MiB/s  3 min 12 s left"
        );
        let narrow = screen(&view(1), 40, 24);
        assert_eq!(narrow[0], "reading the rows   42%  3 min 12 s left");
        assert!(screen(&view(9), 80, 6).last().unwrap().ends_with("and 6 more"));
    }

    #[test]
    fn a_line_of_a_log_says_the_same() {
        assert_eq!(
            plain(&view(2)),
            "reading the rows: 42%, 3.00 GiB, 85.00 MiB/s, 1,234,567 rows, about 3 min 12 s left"
        );
        let mut unknown = view(0);
        (unknown.fraction, unknown.left, unknown.bytes) = (None, None, 0);
        assert_eq!(plain(&unknown), "reading the rows: 10 s");
        assert_eq!(duration(Duration::from_secs(7500)), "2 h 5 min");
    }
}
