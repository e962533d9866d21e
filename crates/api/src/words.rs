//! Times and counts in words.

/// `45s`, `2m11s`, `3h07m`, `12d`: a time as `status` shows it.
pub(crate) fn lasting(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d", seconds / 86400),
    }
}

/// `1 server`, `2 servers`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A time of milliseconds: `0.4s`, `2m11s`.
pub(crate) fn span(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100),
        _ => lasting(milliseconds / 1000),
    }
}

/// `512 B`, `61.2 MB`: powers of 1000.
pub(crate) fn bytes(number: u64) -> String {
    let mut unit = 1000_u64;
    for name in ["kB", "MB", "GB", "TB", "PB"] {
        if number < unit.saturating_mul(1000) {
            return match number < unit {
                true => format!("{number} B"),
                false => format!("{}.{} {name}", number / unit, number % unit / (unit / 10)),
            };
        }
        unit = unit.saturating_mul(1000);
    }
    format!("{} EB", number / 1_000_000_000_000_000_000)
}
