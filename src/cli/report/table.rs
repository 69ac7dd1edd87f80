//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use console::{Term, measure_text_width};

/// The columns of numbers, the columns that may go where there is no room (the first of them first),
/// and rows.
pub struct Rows<'a> {
    /// What stands above the columns.
    pub header: &'a [&'a str],
    /// The rows.
    pub rows: Vec<Vec<String>>,
    /// Columns of numbers, from 0.
    pub numbers: std::ops::Range<usize>,
    /// Columns that a narrow terminal is spared, in this order.
    pub spared: &'a [usize],
}

impl Rows<'_> {
    /// The table for standard output: as wide as it is, but on a terminal no wider than that.
    pub fn lines(self) -> String {
        let terminal = Term::stdout();
        let width = terminal.is_term().then(|| usize::from(terminal.size().1));
        self.within(width)
    }

    /// Each row is one line, if need be without the columns that can be spared; where that is not
    /// enough, what is in the first column stands on a line of its own and the others below it.
    fn within(self, width: Option<usize>) -> String {
        let mut shown: Vec<usize> = (0..self.header.len()).collect();
        let Some(width) = width else { return self.drawn(&shown) };
        let fits = |text: &str| text.lines().all(|line| measure_text_width(line) <= width);
        let mut spared = self.spared.iter();
        loop {
            let drawn = self.drawn(&shown);
            if fits(&drawn) {
                return drawn;
            }
            match spared.next() {
                Some(column) => shown.retain(|other| other != column),
                None => break,
            }
        }
        let below = self.header.iter().enumerate().skip(1);
        let name_width = below.clone().map(|(_, name)| name.len()).max().unwrap_or_default();
        let entries = self.rows.iter().map(|row| {
            let values = below.clone().filter(|(column, _)| !row[*column].is_empty());
            let values = values.map(|(column, name)| {
                format!("  {:<name_width$}  {}", name.to_lowercase(), row[column])
            });
            std::iter::once(row[0].clone()).chain(values).collect::<Vec<_>>().join("\n")
        });
        entries.collect::<Vec<_>>().join("\n")
    }

    fn drawn(&self, shown: &[usize]) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(shown.iter().map(|column| self.header[*column]));
        for row in &self.rows {
            table.add_row(shown.iter().map(|column| row[*column].as_str()));
        }
        for (position, column) in shown.iter().enumerate() {
            if self.numbers.contains(column)
                && let Some(column) = table.column_mut(position)
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let lines: Vec<String> =
            table.to_string().lines().map(|line| line.trim().to_owned()).collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(width: Option<usize>) -> String {
        let row =
            |name: &str| vec![name.to_owned(), String::from("12"), String::from("everything")];
        Rows {
            header: &["NAME", "ROWS", "HOLDS"],
            rows: vec![row("shop-20251125"), row("b")],
            numbers: 1..2,
            spared: &[2],
        }
        .within(width)
    }

    #[test]
    fn a_row_is_a_line_as_long_as_that_is_possible() {
        assert_eq!(
            within(None),
            "NAME           ROWS  HOLDS\nshop-20251125    12  everything\nb                12  everything"
        );
        assert_eq!(within(Some(80)), within(None));
        assert_eq!(
            within(Some(20)),
            "NAME           ROWS\nshop-20251125    12\nb                12"
        );
        assert_eq!(
            within(Some(18)),
            "shop-20251125\n  rows   12\n  holds  everything\nb\n  rows   12\n  holds  everything"
        );
    }
}
