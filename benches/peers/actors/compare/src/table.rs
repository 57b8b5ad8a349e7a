//! Figures by line and program, and the table of their medians.

use std::fmt;

use peer_common::Line;

/// What a program gave for a line, once a turn.
#[derive(Debug, Clone, Default)]
struct Cell {
    figures: Vec<f64>,
    /// The program has no such thing.
    has_none: bool,
}

impl Cell {
    /// The middle one; of an even number, the mean of the two in the middle.
    fn median(&self) -> Option<f64> {
        let mut figures = self.figures.clone();
        figures.sort_by(f64::total_cmp);
        let last = figures.len().checked_sub(1)?;
        Some((figures[last / 2] + figures[figures.len() / 2]) / 2.0)
    }
}

/// A row for each line, a column for each program; the first column is what the others are compared with.
#[derive(Debug)]
pub struct Table {
    lines: Vec<&'static Line>,
    programs: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(lines: &[(&'static Line, u64)], programs: Vec<&'static str>) -> Self {
        let row = vec![Cell::default(); programs.len()];
        Self {
            lines: lines.iter().map(|&(line, _)| line).collect(),
            rows: vec![row; lines.len()],
            programs,
        }
    }

    /// Adds a figure; `None`: the program has no such thing.
    pub fn add(&mut self, row: usize, column: usize, figure: Option<f64>) {
        let cell = &mut self.rows[row][column];
        match figure {
            Some(figure) => cell.figures.push(figure),
            None => cell.has_none = true,
        }
    }

    /// How many times the first column's median this cell's is.
    fn ratio(&self, row: usize, column: usize) -> Option<f64> {
        Some(self.rows[row][column].median()? / self.rows[row][0].median()?)
    }

    fn text(&self, row: usize, column: usize) -> String {
        let cell = &self.rows[row][column];
        match (cell.median(), self.ratio(row, column)) {
            (Some(median), Some(ratio)) if column > 0 => {
                format!("{} ({ratio:.2})", short(median))
            }
            (Some(median), _) => short(median),
            (None, _) if cell.has_none => "none".to_owned(),
            (None, _) => "failed".to_owned(),
        }
    }
}

/// Less than once as much, to the digits that are printed.
fn is_less(ratio: &f64) -> bool {
    (ratio * 100.0).round() < 100.0
}

/// Three digits or more.
fn short(figure: f64) -> String {
    match figure {
        ..10.0 => format!("{figure:.2}"),
        ..100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

impl fmt::Display for Table {
    /// Markdown; then the places where the first column is behind.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = [vec!["line", "unit"], self.programs.clone()].concat();
        let mut rows = vec![heads.iter().map(ToString::to_string).collect::<Vec<_>>()];
        for (row, line) in self.lines.iter().enumerate() {
            let cells = (0..self.programs.len()).map(|column| self.text(row, column));
            let names = [line.name.to_owned(), line.unit.to_owned()];
            rows.push(names.into_iter().chain(cells).collect());
        }
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max();
        let widths: Vec<usize> = (0..heads.len()).filter_map(width).collect();
        for (number, row) in rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(formatter, "| {cell:width$} ")?;
            }
            writeln!(formatter, "|")?;
            if number == 0 {
                for width in &widths {
                    write!(formatter, "|{}", "-".repeat(width + 2))?;
                }
                writeln!(formatter, "|")?;
            }
        }
        writeln!(
            formatter,
            "\nMedians; in parentheses, how many times as much as {}.",
            self.programs[0]
        )?;
        for (row, line) in self.lines.iter().enumerate() {
            for (column, program) in self.programs.iter().enumerate().skip(1) {
                if let Some(ratio) = self.ratio(row, column).filter(is_less) {
                    let first = self.programs[0];
                    writeln!(
                        formatter,
                        "{}: {first} is behind {program} ({ratio:.2}).",
                        line.name
                    )?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_medians_and_ratios_and_says_where_the_first_is_behind() {
        let lines: Vec<_> = peer_common::LINES
            .iter()
            .take(3)
            .map(|line| (line, 1))
            .collect();
        let mut table = Table::new(&lines, vec!["ours", "other", "third"]);
        for (ours, other) in [(100.0, 5.0), (300.0, 50.0), (200.0, 7000.0)] {
            table.add(0, 0, Some(ours));
            table.add(0, 1, Some(other));
        }
        table.add(0, 2, None);
        table.add(1, 0, Some(2.0));
        table.add(1, 1, Some(3.0));
        table.add(1, 1, Some(4.0));
        table.add(2, 0, Some(1000.0));
        table.add(2, 1, Some(999.0));
        let wanted = "\
            | line         | unit | ours | other       | third  |\n\
            |--------------|------|------|-------------|--------|\n\
            | call/1x1     | ns   | 200  | 50.0 (0.25) | none   |\n\
            | call/100x1   | ns   | 2.00 | 3.50 (1.75) | failed |\n\
            | call/100x100 | ns   | 1000 | 999 (1.00)  | failed |\n\
            \n\
            Medians; in parentheses, how many times as much as ours.\n\
            call/1x1: ours is behind other (0.25).\n";
        assert_eq!(table.to_string(), wanted);
    }
}
