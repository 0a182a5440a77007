//! The plots, as SVG: nanoseconds over the number of fibers, both logarithmic, from the rows
//! `growth-...`; and messages per second of an echo server, from the row `echo-1000`.

use std::error::Error;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::figures::Figures;
use crate::growth::{COUNTS, Thing};
use crate::rounds::Column;
use crate::table;

const SIZE: (u32, u32) = (900, 692);
/// Where the legend of the lines begins, below the chart.
const LEGEND: u32 = 550;
/// A generic family, which every browser maps to a font of its own.
const FONT: &str = "sans-serif";

/// Returns a plot as SVG, or `None` if its rows were not measured.
pub(crate) type Plot = fn(&Figures) -> Result<Option<String>, Box<dyn Error>>;

/// The plots, with the names of their files.
pub(crate) const PLOTS: [(&str, Plot); 2] = [("echo.svg", echo), ("growth.svg", growth)];

const BAR: i32 = 36;
const GAP: i32 = 12;
const MARGIN: i32 = 16;
const HEAD: i32 = 48;
/// Where the bars begin, and how long the longest is.
const BARS: (i32, i32) = (220, 370);

fn echo(figures: &Figures) -> Result<Option<String>, Box<dyn Error>> {
    let columns = [
        (Column::Switchback, "switchback fibers"),
        (Column::TokioTasks, "tokio tasks"),
        (Column::May, "may coroutines"),
        (Column::SpawnBlocking, "spawn_blocking"),
        (Column::Threads, "std threads"),
    ];
    let bars: Vec<_> = columns
        .into_iter()
        .filter_map(|(column, name)| Some((column, name, figures.get("echo-1000", column)?)))
        .collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let most = bars.iter().map(|bar| bar.2).fold(0.0, f64::max);
    let height = MARGIN + HEAD + (BAR + GAP) * bars.len() as i32;

    let mut svg = String::new();
    {
        let size = (720, height as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let title = "Echo server, 1,000 connections: messages per second";
        area.draw(&Text::new(title, (MARGIN, MARGIN), (FONT, 28)))?;
        let right = (FONT, 26).into_font();
        let right = right
            .into_text_style(&area)
            .pos(Pos::new(HPos::Right, VPos::Center));
        let left = right.pos(Pos::new(HPos::Left, VPos::Center));
        for (number, (column, name, figure)) in bars.into_iter().enumerate() {
            let top = MARGIN + HEAD + (BAR + GAP) * number as i32;
            let end = BARS.0 + (figure / most * f64::from(BARS.1)) as i32;
            let colour = match column {
                Column::Switchback => RGBColor(0, 90, 180),
                _ => RGBColor(150, 165, 185),
            };
            let corners = [(BARS.0, top), (end, top + BAR)];
            area.draw(&Rectangle::new(corners, colour.filled()))?;
            let middle = top + BAR / 2;
            area.draw(&Text::new(name, (BARS.0 - 10, middle), right.clone()))?;
            let figure = table::number(figure);
            area.draw(&Text::new(figure, (end + 10, middle), left.clone()))?;
        }
        area.present()?;
    }
    Ok(Some(svg))
}

fn growth(figures: &Figures) -> Result<Option<String>, Box<dyn Error>> {
    let lines: Vec<Line> = lines(figures).collect();
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
        let (upper, lower) = area.split_vertically(LEGEND);
        let mut chart = ChartBuilder::on(&upper)
            .margin(16)
            .x_label_area_size(60)
            .y_label_area_size(84)
            .build_cartesian_2d(
                (fewest..most_fibers).log_scale(),
                (least / 2.0..most * 2.0).log_scale(),
            )?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("fibers or tasks at once")
            .y_desc("ns each")
            .label_style((FONT, 22))
            .axis_desc_style((FONT, 24))
            .x_label_formatter(&|count| thousands(*count))
            .y_label_formatter(&|nanos| thousands(*nanos))
            .draw()?;
        for line in lines {
            let style = line.style();
            let marks = line.points.iter().map(|p| Circle::new(*p, 4, style));
            chart.draw_series(marks)?;
            chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
            let at = line.legend();
            let strip = [(at.0, at.1 + 10), (at.0 + 36, at.1 + 10)];
            lower.draw(&PathElement::new(strip, style))?;
            lower.draw(&Text::new(line.name, (at.0 + 48, at.1), (FONT, 22)))?;
        }
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
    /// Returns the place in the legend: fibers are on the left, and their rivals beside them.
    fn legend(&self) -> (i32, i32) {
        let x = match self.column {
            Column::Switchback => 30,
            _ => 480,
        };
        let row = match (self.thing, self.column) {
            (_, Column::Corosensei) => 3,
            (Thing::Yield, _) => 0,
            (Thing::Spawn, _) => 1,
            (Thing::SpawnCold, _) => 2,
        };
        (x, 8 + 32 * row)
    }

    /// Returns a colour for each operation; the rival's is the paler one.
    fn style(&self) -> ShapeStyle {
        let colour = match self.thing {
            Thing::Yield => RGBColor(0, 90, 180),
            Thing::Spawn => RGBColor(190, 60, 0),
            Thing::SpawnCold => RGBColor(90, 90, 90),
        };
        match self.column {
            Column::Switchback => colour.filled().stroke_width(3),
            Column::Corosensei => RGBColor(0, 130, 60).stroke_width(2),
            _ => colour.mix(0.45).stroke_width(2),
        }
    }
}

fn lines(figures: &Figures) -> impl Iterator<Item = Line> {
    use {Column::*, Thing::*};
    let lines = [
        (Yield, Switchback, "fiber, yield"),
        (Yield, TokioTasks, "tokio task, yield"),
        (Yield, Corosensei, "switches alone, the limit of a yield"),
        (Spawn, Switchback, "fiber, spawn and join"),
        (Spawn, TokioTasks, "tokio task, spawn and await"),
        (SpawnCold, Switchback, "fiber, spawn and join, first time"),
        (SpawnCold, TokioTasks, "tokio task, first time"),
    ];
    lines.into_iter().filter_map(move |(thing, column, name)| {
        let nanos = |count| figures.get(&thing.row_name(count), column);
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
