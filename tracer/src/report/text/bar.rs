//! Bars on a journey's time scale.

use crate::journey::model::{Journey, Phase};

/// Most bytes of what is drawn in a cell.
const GLYPH_BYTES: usize = 3;

/// Fills from the left, by eighths of a cell.
const LEFT: [&str; 9] = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];

/// The stretch of time that all bars of a journey share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub start_ns: u64,
    pub duration_ns: u64,
    /// Columns of a bar.
    pub cells: usize,
}

impl Scale {
    pub fn of(journey: &Journey, cells: usize) -> Self {
        Self {
            start_ns: journey.started_at_ns,
            duration_ns: journey.duration_ns,
            cells,
        }
    }

    /// Eighths of a cell from the left edge to `at_ns`, within the scale whatever `at_ns` is.
    fn eighths(&self, at_ns: u64) -> usize {
        let after = at_ns.saturating_sub(self.start_ns).min(self.duration_ns);
        let width = self.cells as u128 * 8;
        let eighths = (u128::from(after) * width)
            .checked_div(u128::from(self.duration_ns))
            .unwrap_or(0);
        usize::try_from(eighths).unwrap_or(0)
    }
}

/// A bar for `phase`, exactly `scale.cells` columns wide. However short, something of it
/// is seen: a phase that happened must not look like one that did not.
pub(super) fn phase_bar(scale: &Scale, phase: Phase, unicode: bool) -> String {
    let Some(last) = (scale.cells * 8).checked_sub(1) else {
        return String::new();
    };
    let start = scale.eighths(phase.at_ns).min(last);
    let end = scale
        .eighths(phase.at_ns.saturating_add(phase.duration_ns))
        .max(start + 1);
    let mut bar = String::with_capacity(scale.cells * GLYPH_BYTES);
    // Most cells are before or behind it.
    let (first, behind) = (start / 8, end.div_ceil(8).clamp(start / 8, scale.cells));
    bar.extend(std::iter::repeat_n(" ", first));
    bar.extend((first..behind).map(|cell| glyph(cell, start, end, unicode)));
    bar.extend(std::iter::repeat_n(" ", scale.cells - behind));
    bar
}

/// What is drawn in `cell` for a bar from `start` to `end` eighths.
fn glyph(cell: usize, start: usize, end: usize, unicode: bool) -> &'static str {
    let (left, right) = (cell * 8, cell * 8 + 8);
    let covered = end.min(right).saturating_sub(start.max(left));
    if covered == 0 {
        return " ";
    }
    if !unicode {
        // Less than half a cell is nothing, unless it is all there is of the bar.
        let all = start >= left && end.saturating_sub(right) < 4 && end - start < 8;
        return if covered >= 4 || all { "#" } else { " " };
    }
    if start > left && end > right {
        // Only these two fill from the right.
        return match start - left {
            1..=2 => "█",
            3..=5 => "▐",
            _ => "▕",
        };
    }
    LEFT.get(covered).copied().unwrap_or("█")
}

/// A bar of the time in none of `busy`, drawn lightly: it is a remainder, not a phase.
pub(super) fn idle_bar(scale: &Scale, busy: &[Phase]) -> String {
    let spans: Vec<(usize, usize)> = busy
        .iter()
        .map(|phase| {
            let end = phase.at_ns.saturating_add(phase.duration_ns);
            (scale.eighths(phase.at_ns), scale.eighths(end))
        })
        .collect();
    (0..scale.cells)
        .map(|cell| {
            let idle = (cell * 8..cell * 8 + 8)
                .filter(|eighth| {
                    !spans
                        .iter()
                        .any(|(start, end)| start <= eighth && eighth < end)
                })
                .count();
            if idle >= 4 { '░' } else { ' ' }
        })
        .collect()
}

/// Nanoseconds of the scale in none of `busy`, overlaps counted once.
pub(super) fn idle_ns(scale: &Scale, busy: &[Phase]) -> u64 {
    let end = scale.start_ns.saturating_add(scale.duration_ns);
    let mut spans: Vec<(u64, u64)> = busy
        .iter()
        .map(|phase| {
            (
                phase.at_ns,
                phase.at_ns.saturating_add(phase.duration_ns).min(end),
            )
        })
        .collect();
    spans.sort_unstable();
    let mut idle = 0u64;
    let mut covered_to = scale.start_ns;
    for (from, to) in spans {
        idle = idle.saturating_add(from.min(end).saturating_sub(covered_to));
        covered_to = covered_to.max(to);
    }
    idle.saturating_add(end.saturating_sub(covered_to))
}

#[cfg(test)]
mod tests {
    use super::{Phase, Scale, idle_bar, idle_ns, phase_bar};
    use proptest::prelude::*;

    const SCALE: Scale = Scale {
        start_ns: 1_000,
        duration_ns: 800,
        cells: 10,
    };

    fn phase(at_ns: u64, duration_ns: u64) -> Phase {
        Phase { at_ns, duration_ns }
    }

    #[test]
    fn bars_stand_where_their_time_is() {
        assert_eq!(phase_bar(&SCALE, phase(1_000, 800), true), "██████████");
        assert_eq!(phase_bar(&SCALE, phase(1_080, 200), true), " ██▌      ");
        assert_eq!(phase_bar(&SCALE, phase(1_120, 200), true), " ▐██      ");
        assert_eq!(phase_bar(&SCALE, phase(1_080, 0), true), " ▏        ");
        assert_eq!(phase_bar(&SCALE, phase(1_800, 0), true), "         ▏");
        assert_eq!(phase_bar(&SCALE, phase(1_080, 200), false), " ###      ");
        assert_eq!(phase_bar(&SCALE, phase(1_080, 1), false), " #        ");
        // Three eighths on either side of a border.
        assert_eq!(phase_bar(&SCALE, phase(1_130, 60), false), " #        ");
    }

    #[test]
    fn the_remainder_is_what_no_phase_covers() {
        let busy = [phase(1_080, 160), phase(1_160, 160), phase(5_000, 10)];
        assert_eq!(idle_ns(&SCALE, &busy), 800 - 240);
        assert_eq!(idle_bar(&SCALE, &busy), "░   ░░░░░░");
        assert_eq!(idle_ns(&SCALE, &[]), 800);
    }

    proptest! {
        #[test]
        fn any_phase_gives_a_bar_of_the_right_width(
            start_ns: u64, duration_ns: u64, cells in 0usize..300,
            at_ns: u64, length_ns: u64, unicode: bool,
        ) {
            let scale = Scale { start_ns, duration_ns, cells };
            let phase = phase(at_ns, length_ns);
            let bar = phase_bar(&scale, phase, unicode);
            prop_assert_eq!(bar.chars().count(), cells);
            prop_assert!(cells == 0 || !bar.trim().is_empty());
            prop_assert_eq!(idle_bar(&scale, &[phase]).chars().count(), cells);
            prop_assert!(idle_ns(&scale, &[phase, phase]) <= duration_ns);
        }
    }
}
