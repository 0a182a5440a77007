//! The plot of the rows `growth-...`: nanoseconds over the number of fibers, both
//! logarithmic.

use std::error::Error;

use plotters::prelude::*;

use crate::growth::{COUNTS, Thing};
use crate::rounds::{Column, Measured};

const SIZE: (u32, u32) = (900, 560);
/// A generic family, which every browser maps to a font of its own.
const FONT: &str = "sans-serif";

/// Returns the plot as SVG, or `None` if no such row was measured.
pub(crate) fn render(results: &[Measured]) -> Result<Option<String>, Box<dyn Error>> {
    let lines: Vec<Line> = lines(results).collect();
    let nanos = || lines.iter().flat_map(|line| &line.points).map(|p| p.1);
    if nanos().next().is_none() {
        return Ok(None);
    }
    let (least, most) = nanos().fold((f64::MAX, f64::MIN), |(a, b), n| (a.min(n), b.max(n)));
    let fewest = COUNTS[0] as f64;
    let most_fibers = COUNTS[COUNTS.len() - 1] as f64;

    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(
                (fewest..most_fibers).log_scale(),
                (least / 2.0..most * 2.0).log_scale(),
            )?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("fibers or tasks at once")
            .y_desc("ns each")
            .label_style((FONT, 14))
            .axis_desc_style((FONT, 15))
            .x_label_formatter(&|count| thousands(*count))
            .y_label_formatter(&|nanos| thousands(*nanos))
            .draw()?;
        for line in lines {
            let style = line.style();
            let marks = line.points.iter().map(|p| Circle::new(*p, 4, style));
            chart.draw_series(marks)?;
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                .label(line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
        }
        chart
            .configure_series_labels()
            // Between the lines that take microseconds and the others.
            .position(SeriesLabelPosition::Coordinate(520, 90))
            .legend_area_size(32)
            .background_style(WHITE)
            .border_style(BLACK.mix(0.3))
            .label_font((FONT, 14))
            .draw()?;
        area.present()?;
    }
    Ok(Some(svg))
}

/// One operation of one column: its cost for each number of fibers.
struct Line {
    thing: Thing,
    column: Column,
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Line {
    /// Returns a colour for each operation; the rival's is the paler one.
    fn style(&self) -> ShapeStyle {
        let colour = match self.thing {
            Thing::Yield => RGBColor(0, 90, 180),
            Thing::Spawn => RGBColor(190, 60, 0),
            Thing::SpawnCold => RGBColor(90, 90, 90),
        };
        match self.column {
            Column::Switchback => colour.filled().stroke_width(3),
            _ => colour.mix(0.45).stroke_width(2),
        }
    }
}

fn lines(results: &[Measured]) -> impl Iterator<Item = Line> {
    use {Column::*, Thing::*};
    let lines = [
        (Yield, Switchback, "fiber, yield"),
        (Yield, TokioTasks, "tokio task, yield"),
        (Spawn, Switchback, "fiber, spawn and join"),
        (Spawn, TokioTasks, "tokio task, spawn and await"),
        (SpawnCold, Switchback, "fiber, spawn and join, first time"),
        (SpawnCold, TokioTasks, "tokio task, first time"),
    ];
    lines.into_iter().filter_map(move |(thing, column, name)| {
        let nanos = |count| {
            let row_name = thing.row_name(count);
            let row = results.iter().find(|row| row.name == row_name)?;
            row.median(column)
        };
        let point = |count| nanos(count).map(|nanos| (count as f64, nanos));
        let points: Vec<_> = COUNTS.into_iter().filter_map(point).collect();
        (!points.is_empty()).then_some(Line {
            thing,
            column,
            name,
            points,
        })
    })
}

/// Formats a number in a short form, such as `10k`.
fn thousands(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{}M", n / 1e6),
        n if n >= 1e3 => format!("{}k", n / 1e3),
        n => n.to_string(),
    }
}
