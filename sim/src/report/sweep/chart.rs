//! Charts of a sweep as SVG: axes by the plotting library, marks that can be pointed at and followed.

use maud::{Markup, html};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;

/// Extent of a chart, pixels: readable at full width and on a phone.
pub const EXTENT: (u32, u32) = (500, 380);

/// Colours that those see apart who see few.
pub const BLUE_MARK: RGBColor = RGBColor(11, 87, 208);
/// Of designs within error of the front.
pub const PALE_MARK: RGBColor = RGBColor(126, 168, 232);
/// Of dominated ones.
pub const DIM_MARK: RGBColor = RGBColor(190, 194, 200);
/// Of what is recommended.
pub const ORANGE_MARK: RGBColor = RGBColor(224, 98, 0);

/// The `index`th of colours for parts and curves.
pub const fn colour(index: usize) -> RGBColor {
    // Okabe and Ito's, and four greys between them.
    const COLOURS: [(u8, u8, u8); 12] = [
        (0, 114, 178),
        (230, 159, 0),
        (0, 158, 115),
        (204, 121, 167),
        (86, 180, 233),
        (213, 94, 0),
        (140, 140, 140),
        (240, 228, 66),
        (60, 60, 60),
        (153, 112, 171),
        (90, 174, 97),
        (190, 190, 190),
    ];
    let (r, g, b) = COLOURS[index % COLOURS.len()];
    RGBColor(r, g, b)
}

/// Colour as SVG and CSS write it.
pub fn css(colour: RGBColor) -> String {
    format!("#{:02x}{:02x}{:02x}", colour.0, colour.1, colour.2)
}

/// What a drawing came to.
pub type Drawing<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A canvas of the plotting library on an SVG in memory.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG of this extent, drawn by `draw`, with what it returns on top.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn svg((width, height): (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawing<Markup>) -> Result<String, String> {
    let mut text = String::new();
    let over = {
        let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area));
        area.present().map_err(|e| e.to_string())?;
        drawn.map_err(|e| e.to_string())?
    };
    Ok(text.replace("</svg>", &format!("{}</svg>", over.into_string())))
}

/// A mark that tells its name where it is pointed at, and leads where it is followed.
pub struct Mark {
    /// Where, pixels.
    pub at: (i32, i32),
    /// Radius, pixels.
    pub radius: u32,
    /// Fill.
    pub colour: RGBColor,
    /// Ring around it, if any.
    pub ring: Option<RGBColor>,
    /// Drawn below the range of the chart: as a triangle.
    pub below: bool,
    /// A name beside it, if there is room.
    pub label: Option<String>,
    /// All there is to say.
    pub title: String,
    /// The identifier of the place it leads to.
    pub target: String,
}

impl Mark {
    fn shape(&self) -> Markup {
        let (x, y) = self.at;
        let fill = css(self.colour);
        let r = self.radius as i32;
        html! {
            @if let Some(ring) = self.ring {
                circle cx=(x) cy=(y) r=(r + 4) fill="none" stroke=(css(ring)) stroke-width="2.5" {}
            }
            @if self.below {
                path d=(format!("M{} {}h{}l{} {}z", x - r, y - r, 2 * r, -r, 2 * r)) fill=(fill) {}
            } @else {
                circle cx=(x) cy=(y) r=(r) fill=(fill) stroke="white" stroke-width="0.8" {}
            }
        }
    }
}

/// Approximate width of text at 12 pixels.
fn text_width(text: &str) -> i32 {
    (text.chars().count() as f64 * 6.3) as i32 + 2
}

/// Marks with their labels, each label where it hides no other one; those without room are left out.
pub fn marks(all: &[Mark], frame: (Range<i32>, Range<i32>)) -> Markup {
    const HEIGHT: i32 = 13;
    let mut taken: Vec<(Range<i32>, Range<i32>)> =
        all.iter().filter(|mark| mark.colour != DIM_MARK).map(|m| (m.at.0 - 5..m.at.0 + 5, m.at.1 - 5..m.at.1 + 5)).collect();
    let overlap = |a: &Range<i32>, b: &Range<i32>| a.start < b.end && b.start < a.end;
    let mut labels = Vec::new();
    for mark in all {
        let Some(label) = &mark.label else { continue };
        let width = text_width(label);
        let (x, y) = mark.at;
        let away = mark.radius as i32 + 5;
        // Right, left, above, below, and then further above and below.
        let places = [(x + away, y + 4), (x - away - width, y + 4)].into_iter().chain(
            [14, 28, 42, 56]
                .into_iter()
                .flat_map(|d| [(x + 4, y - d), (x + 4, y + d + 6), (x - width - 4, y - d), (x - width - 4, y + d + 6)]),
        );
        let free = places.into_iter().find(|&(left, base)| {
            let place = (left..left + width, base - HEIGHT + 2..base + 3);
            let inside = frame.0.start <= place.0.start
                && place.0.end <= frame.0.end + 6
                && frame.1.start <= place.1.start
                && place.1.end <= frame.1.end;
            inside && taken.iter().all(|other| !(overlap(&other.0, &place.0) && overlap(&other.1, &place.1)))
        });
        if let Some((left, base)) = free {
            taken.push((left..left + width, base - HEIGHT + 2..base + 3));
            // A label that is not beside its mark is led to it.
            let lead = ((base - 4 - y).abs() > 20)
                .then_some((mark.at, (left.max(x.min(left + width)), if base < y { base + 3 } else { base - 11 })));
            labels.push((left, base, label, mark.ring.is_some(), lead));
        }
    }
    html! {
        @for mark in all {
            a href=(format!("#{}", mark.target)) { (mark.shape()) title { (mark.title) } }
        }
        @for (x, y, label, strong, lead) in labels {
            @if let Some(((from_x, from_y), (to_x, to_y))) = lead {
                line x1=(from_x) y1=(from_y) x2=(to_x) y2=(to_y) stroke="#5f6368" stroke-width="0.7" {}
            }
            text x=(x) y=(y) font-family="sans-serif" font-size="12" fill="#202124" font-weight=(if strong { "bold" } else { "normal" })
                stroke="white" stroke-width="3" paint-order="stroke" { (label) }
        }
    }
}

/// A bar of parts.
#[derive(Debug)]
pub struct Bar {
    /// What it is of.
    pub name: String,
    /// Each part's index among the names, and its value.
    pub parts: Vec<(usize, f64)>,
    /// What stands at its end.
    pub total: String,
}

impl Bar {
    fn sum(&self) -> f64 {
        self.parts.iter().map(|(_, value)| value).sum()
    }

    /// Parts that can be seen: which, where they begin, how long they are.
    fn pieces(&self, left: i32, scale: f64) -> Vec<(usize, f64, f64)> {
        let mut from = f64::from(left);
        let mut place = |&(part, value): &(usize, f64)| {
            let (start, long) = (from, value * scale);
            from += long;
            (part, start, long)
        };
        self.parts.iter().map(&mut place).filter(|(_, _, long)| *long > 0.05).collect()
    }
}

/// Stacked bars, one below the other, with the parts' names beneath. Lengths are of `longest`, or of
/// the longest bar.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn bars(title: &str, names: &[String], bars: &[Bar], longest: Option<f64>) -> Result<String, String> {
    const LINE: i32 = 34;
    const LEFT: i32 = 12;
    let width = EXTENT.0 as i32;
    let right = 96;
    let used: Vec<usize> =
        (0..names.len()).filter(|part| bars.iter().any(|bar| bar.parts.iter().any(|(p, x)| p == part && *x > 0.0))).collect();
    let mut places = Vec::new();
    let (mut x, mut line) = (LEFT, 0);
    for &part in &used {
        let wide = text_width(&names[part]) + 26;
        if x + wide > width - LEFT {
            (x, line) = (LEFT, line + 1);
        }
        places.push((part, x, line));
        x += wide;
    }
    let body = 34 + LINE * bars.len() as i32;
    let height = body + 14 + 18 * (line + 1);
    let most = longest.unwrap_or_else(|| bars.iter().map(|bar| bar.parts.iter().map(|(_, x)| x).sum::<f64>()).fold(0.0, f64::max));
    let scale = if most > 0.0 { f64::from(width - LEFT - right) / most } else { 0.0 };
    svg((width as u32, height as u32), |_| {
        Ok(html! {
            text x=(LEFT) y="20" font-family="sans-serif" font-size="15" font-weight="bold" fill="#202124" { (title) }
            @for (i, bar) in bars.iter().enumerate() {
                @let y = 34 + LINE * i as i32;
                text x=(LEFT) y=(y + 11) font-family="sans-serif" font-size="12" fill="#202124" { (bar.name) }
                @for (part, from, long) in bar.pieces(LEFT, scale) {
                    rect x=(format!("{from:.2}")) y=(y + 15) width=(format!("{long:.2}")) height="13" fill=(css(colour(part))) {
                        title { (format!("{}: {} {:.1} %", bar.name, names[part], 100.0 * long / scale / bar.sum())) }
                    }
                }
                text x=(format!("{:.0}", f64::from(LEFT) + scale * bar.sum() + 6.0)) y=(y + 26) font-family="sans-serif" font-size="12" fill="#202124" { (bar.total) }
            }
            @for (part, x, line) in &places {
                @let y = body + 12 + 18 * line;
                rect x=(x) y=(y - 9) width="11" height="11" fill=(css(colour(*part))) {}
                text x=(x + 15) y=(y + 1) font-family="sans-serif" font-size="12" fill="#202124" { (names[*part]) }
            }
        })
    })
}
