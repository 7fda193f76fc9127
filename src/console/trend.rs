//! Pictures of what came in, as SVG without script or style of its own: classes of the style sheet colour it, and a title says
//! in words what each bar shows.

use std::fmt::Write as _;

use super::words::Lang;
use crate::{issue::hotline_zone, store::tally::Outcome};

/// One day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Day {
    /// The day, counted from 1970.
    pub(super) number: i64,
    /// How many came in.
    pub(super) received: i64,
    /// Where they are, in the order of [`Outcome::PLACES`].
    pub(super) places: [i64; 6],
}

/// The date of a day, as `11-24`.
pub(super) fn date(day: i64) -> String {
    let noon = jiff::Timestamp::from_second(day * 86_400 + 4 * 3600).unwrap_or_default();
    hotline_zone().to_datetime(noon).strftime("%m-%d").to_string()
}

/// A small picture of what came in, a bar a day.
pub(super) fn spark(days: &[Day], lang: Lang) -> String {
    const HEIGHT: i64 = 26;
    const STEP: usize = 7;
    let most = days.iter().map(|day| day.received).max().unwrap_or(0).max(1);
    let total: i64 = days.iter().map(|day| day.received).sum();
    let words = lang.tf("trend.days", &[("days", &days.len()), ("n", &total)]);
    let mut svg = format!(
        "<svg class=\"spark\" role=\"img\" viewBox=\"0 0 {} {HEIGHT}\" width=\"{}\" height=\"{HEIGHT}\"><title>{words}</title>",
        days.len() * STEP,
        days.len() * STEP,
    );
    for (index, day) in days.iter().enumerate() {
        let height = if day.received > 0 { (day.received * (HEIGHT - 2) / most).max(2) } else { 1 };
        let class = if day.received > 0 { "bar" } else { "none" };
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\"/>",
            index * STEP,
            HEIGHT - height,
            STEP - 2
        );
    }
    svg.push_str("</svg>");
    svg
}

/// A picture of where what came in is, a stacked bar a day.
pub(super) fn stack(days: &[Day], lang: Lang) -> String {
    const HEIGHT: i64 = 120;
    const STEP: usize = 46;
    let most = days.iter().map(|day| day.received.max(day.places.iter().sum())).max().unwrap_or(0).max(1);
    let words = lang.t("trend.stack");
    let mut svg = format!(
        "<svg class=\"stack\" role=\"img\" viewBox=\"0 0 {} {}\"><title>{words}</title>",
        days.len() * STEP,
        HEIGHT + 34
    );
    for (index, day) in days.iter().enumerate() {
        let (x, middle) = (index * STEP + 6, index * STEP + STEP / 2);
        let mut top = HEIGHT + 14;
        let _ = write!(svg, "<g><title>{} {}</title>", date(day.number), told(day, lang));
        for (place, amount) in Outcome::PLACES.iter().zip(day.places).filter(|(_, amount)| *amount > 0) {
            let height = (amount * HEIGHT / most).max(1);
            top -= height;
            let _ = write!(
                svg,
                "<rect class=\"{}\" x=\"{x}\" y=\"{top}\" width=\"{}\" height=\"{height}\"/>",
                place.as_str(),
                STEP - 12
            );
        }
        let _ = write!(
            svg,
            "<text class=\"number\" x=\"{middle}\" y=\"{}\">{}</text><text x=\"{middle}\" y=\"{}\">{}</text></g>",
            top - 3,
            day.received,
            HEIGHT + 29,
            date(day.number)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn told(day: &Day, lang: Lang) -> String {
    let received = format!("{} {}", lang.of("outcome", "received"), day.received);
    let places = Outcome::PLACES.iter().zip(day.places).filter(|(_, amount)| *amount > 0);
    let places = places.map(|(place, amount)| format!("{} {amount}", lang.of("outcome", place.as_str())));
    std::iter::once(received).chain(places).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_whole_and_say_what_they_show() {
        let day = Day { number: 20_781, received: 12, places: [7, 2, 1, 1, 1, 0] };
        let days = [Day { number: 20_780, ..Day::default() }, day];
        for lang in [Lang::Zh, Lang::En] {
            for svg in [spark(&days, lang), stack(&days, lang)] {
                assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>") && svg.contains("<title>"), "{svg}");
                assert!(!svg.contains("style="), "the policy forbids it: {svg}");
            }
        }
        assert_eq!(date(20_781), "11-24");
        assert!(stack(&days, Lang::En).contains("received 12"));
        assert!(spark(&[], Lang::Zh).contains("</svg>"));
    }
}
