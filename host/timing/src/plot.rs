//! Pictures: distributions beside each other, and what changes with a number. SVG, without any font.

use plotters::coord::Shift;
use plotters::prelude::*;

/// A picture's size in pixels.
const SIZE: (u32, u32) = (1200, 420);

/// The distributions of one quantity, measured and simulated.
#[derive(Debug, Clone)]
pub struct Distributions {
    /// What it is, with its unit.
    pub title: String,
    /// Each with its name.
    pub values: Vec<(String, Vec<f64>)>,
}

/// Lines over one number.
#[derive(Debug, Clone)]
pub struct Lines {
    /// What they are of, with its unit.
    pub title: String,
    /// The number, with its unit.
    pub over: String,
    /// Each with its name: points `(number, value)`.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Cumulative distributions side by side.
pub fn distributions(panels: &[Distributions]) -> String {
    let lines = panels.iter().map(|panel| Lines {
        title: panel.title.clone(),
        over: String::new(),
        lines: panel.values.iter().map(|(name, values)| (name.clone(), cumulative(values))).collect(),
    });
    draw(&lines.collect::<Vec<_>>())
}

/// Lines side by side.
pub fn lines(panels: &[Lines]) -> String {
    draw(panels)
}

/// Each value with the share that is not above it, in per cent.
fn cumulative(values: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    (1..).zip(sorted).map(|(at, value)| (value, 100.0 * f64::from(at) / n)).collect()
}

fn draw(panels: &[Lines]) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        // A picture in memory cannot fail to be written.
        let _ = root.fill(&WHITE);
        for (area, panel) in root.split_evenly((1, panels.len().max(1))).into_iter().zip(panels) {
            let _ = draw_panel(&area, panel);
        }
        let _ = root.present();
    }
    svg
}

fn draw_panel(area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Lines) -> Result<(), Box<dyn std::error::Error>> {
    let points = || panel.lines.iter().flat_map(|(_, points)| points);
    let most = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).filter(|value| value.is_finite()).fold(f64::MIN_POSITIVE, f64::max)
    };
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..most(|(x, _)| *x) * 1.02, 0.0..most(|(_, y)| *y) * 1.05)?;
    chart.configure_mesh().x_desc(&panel.over).light_line_style(WHITE).draw()?;
    for (at, (name, points)) in panel.lines.iter().enumerate() {
        let color = Palette99::pick(at).to_rgba();
        let line = chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?;
        line.label(name.clone()).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_every_line_and_its_name() {
        let values = vec![("measured".to_owned(), vec![3.0, 1.0, 2.0]), ("simulated".to_owned(), vec![1.5, 2.5])];
        let svg = distributions(&[Distributions { title: "TTFT, ms".into(), values }]);
        assert!(svg.starts_with("<svg") && svg.contains("TTFT, ms"));
        assert_eq!(["measured", "simulated"].map(|name| svg.contains(name)), [true, true]);
        assert_eq!(cumulative(&[3.0, 1.0]), [(1.0, 50.0), (3.0, 100.0)]);
    }
}
