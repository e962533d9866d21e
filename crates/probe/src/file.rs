//! The file probe, as keepalived's FILE_CHECK: the number in a file takes a real server out, or changes its weight.

use evenkeel_health::{Reason, Weighing};
use evenkeel_model::NumberFile;
use tokio::{fs::File, io::AsyncReadExt};

/// Bytes of the file that are read.
const MOST: u64 = 128;

/// At this sum and below the real server is down, whatever its own weight.
const DOWN: i64 = -2_147_483_648;

/// Reads the file and judges its number.
pub(crate) async fn attempt(file: &NumberFile) -> Result<(String, Weighing), Reason> {
    judge(file, read(file).await)
}

/// A file that cannot be read or begins with no number counts as 0.
async fn read(file: &NumberFile) -> i64 {
    let mut text = Vec::new();
    let Ok(opened) = File::open(&file.path).await else { return 0 };
    if opened.take(MOST).read_to_end(&mut text).await.is_err() {
        return 0;
    }
    number(&String::from_utf8_lossy(&text))
}

/// What a text begins with, as C reads it: blanks, a sign, digits.
fn number(text: &str) -> i64 {
    let text = text.trim_start();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let size = match digits.get(..end) {
        None | Some("") => 0,
        Some(digits) => digits.parse::<i64>().unwrap_or(i64::MAX),
    };
    (size * sign).clamp(-2_147_483_647, 2_147_483_647)
}

fn judge(file: &NumberFile, number: i64) -> Result<(String, Weighing), Reason> {
    let path = file.path.display();
    if file.factor == 0 {
        let is_up = (number != 0) == file.reverse;
        let wanted = if file.reverse { "any but 0" } else { "0" };
        let detail = format!("{path} holds {number}");
        return if is_up {
            Ok((detail, Weighing::None))
        } else {
            Err(Reason::BadAnswer(format!("{detail}, wanted {wanted}")))
        };
    }
    let change = number.saturating_mul(file.factor);
    if change <= DOWN {
        return Err(Reason::BadAnswer(format!("{path} holds {number}, which times {} is {change}", file.factor)));
    }
    Ok((format!("{path} holds {number}: weight {change:+}"), Weighing::Add(change)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(factor: i64, reverse: bool) -> NumberFile {
        NumberFile { path: "/run/x".into(), factor, reverse }
    }

    #[test]
    fn a_number_is_read_as_c_reads_it() {
        let cases = [
            ("0\n", 0),
            ("7", 7),
            (" -3 x", -3),
            ("+4", 4),
            ("", 0),
            ("x", 0),
            ("99999999999999999999", 2_147_483_647),
        ];
        for (text, value) in cases {
            assert_eq!(number(text), value, "{text:?}");
        }
    }

    #[test]
    fn without_a_factor_the_number_says_up_or_down() {
        assert!(judge(&file(0, false), 0).is_ok() && judge(&file(0, false), 1).is_err());
        assert!(judge(&file(0, true), 0).is_err() && judge(&file(0, true), -1).is_ok());
    }

    #[test]
    fn with_a_factor_it_changes_the_weight_until_it_is_far_too_low() {
        assert_eq!(judge(&file(-2, false), 5).unwrap().1, Weighing::Add(-10));
        assert!(judge(&file(2, false), -1_073_741_824).is_err());
        assert!(judge(&file(2, false), -1_073_741_823).is_ok());
    }
}
