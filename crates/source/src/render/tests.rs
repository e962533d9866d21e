use super::*;
use crate::{Code, Diagnostic, Span};

fn one_file(text: &str) -> (Sources, FileId) {
    let mut sources = Sources::new();
    let file = sources.add("ldirectord.cf", text.to_owned());
    (sources, file)
}

#[test]
fn a_diagnostic_shows_code_place_label_note_and_fix() {
    let (sources, file) = one_file("checktimeout=3\nquiescent=YES\n");
    let span = Span::new(file, 25, 28);
    let text = render(
        &Diagnostic::warning(Code("E0104"), span, "`YES` read as `yes`")
            .labelled("upper case")
            .note("ldirectord refuses the file here")
            .replace("write `yes`", span, "yes"),
        &sources,
        Colour::No,
    );
    assert_eq!(
        text,
        "\
warning[E0104]: `YES` read as `yes`
 --> ldirectord.cf:2:11
  |
2 | quiescent=YES
  |           ^^^ upper case
  |
  = note: ldirectord refuses the file here
help: write `yes`
  |
2 - quiescent=YES
2 + quiescent=yes
  |
"
    );
}

#[test]
fn distant_places_get_pictures_of_their_own() {
    let (sources, file) = one_file(&format!("first\n{}second\n", "\n".repeat(200)));
    let text = render(
        &Diagnostic::error(Code("E0201"), Span::new(file, 206, 212), "twice")
            .label(Span::new(file, 0, 5), "first written here"),
        &sources,
        Colour::No,
    );
    assert!(text.contains("--> ldirectord.cf:202:1"), "{text}");
    assert!(text.contains("::: ldirectord.cf:1:1"), "{text}");
    assert!(text.lines().count() < 15, "{text}");
}

#[test]
fn a_line_of_ten_mebibytes_is_named_but_not_shown() {
    let (sources, file) = one_file(&"x".repeat(10 << 20));
    let text = render(&Diagnostic::error(Code("E0108"), Span::new(file, 0, 10), "too long"), &sources, Colour::No);
    assert!(text.contains("ldirectord.cf:1:1") && text.len() < 200, "{text}");
}

#[test]
fn more_than_the_bound_is_counted() {
    let (sources, file) = one_file("x\n");
    let many = vec![Diagnostic::error(Code("E0101"), Span::new(file, 0, 1), "bad"); MOST_RENDERED + 7];
    let text = render_all(&many, &sources, Colour::No);
    assert!(text.ends_with("and 7 more\n"));
    assert_eq!(text.matches("E0101").count(), MOST_RENDERED);
}

#[test]
fn colour_is_only_written_when_asked_for() {
    let (sources, file) = one_file("x\n");
    let d = Diagnostic::error(Code("E0101"), Span::new(file, 0, 1), "bad");
    assert!(!render(&d, &sources, Colour::No).contains('\x1b'));
    assert!(render(&d, &sources, Colour::Yes).contains('\x1b'));
}
