use super::*;
use std::{
    fmt::Write as _,
    io::Write as _,
    process::{Command, Stdio},
};

fn matches(pattern: &str, text: &[u8]) -> bool {
    compile(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}")).is_match(text).unwrap()
}

/// Reads lines "pattern text", both hexadecimal, and answers 1, 0 or E (no pattern) for each.
const ASK_PERL: &str = r#"
    no warnings;
    while (<STDIN>) {
        chomp;
        my ($pattern, $text) = map { pack "H*", $_ } split / /, $_, -1;
        local $SIG{ALRM} = sub { die };
        my $found = eval { alarm 5; my $f = $text =~ /$pattern/ ? 1 : 0; alarm 0; $f };
        print defined $found ? $found : "E", "\n";
    }
"#;

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// What Perl says of each pair; `None` where there is no Perl.
fn ask_perl(pairs: &[(String, Vec<u8>)]) -> Option<Vec<char>> {
    let mut perl =
        Command::new("perl").args(["-e", ASK_PERL]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut stdin = perl.stdin.take().unwrap();
    let mut question = String::new();
    for (pattern, text) in pairs {
        writeln!(question, "{} {}", hexadecimal(pattern.as_bytes()), hexadecimal(text)).unwrap();
    }
    let writer = std::thread::spawn(move || stdin.write_all(question.as_bytes()).unwrap());
    let answer = perl.wait_with_output().unwrap();
    writer.join().unwrap();
    let answer: Vec<char> =
        String::from_utf8(answer.stdout).unwrap().lines().map(|l| l.chars().next().unwrap()).collect();
    assert_eq!(answer.len(), pairs.len());
    Some(answer)
}

/// Asserts that whatever we compile means what Perl means; returns how many pairs were compared.
fn agrees_with_perl(pairs: &[(String, Vec<u8>)], refused_by_perl_is_fine: bool) -> usize {
    let Some(perl) = ask_perl(pairs) else {
        println!("skipped: needs perl");
        return usize::MAX;
    };
    let mut compared = 0;
    let mut differences = String::new();
    for ((pattern, text), perl) in pairs.iter().zip(perl) {
        let ours = match compile(pattern) {
            Err(_) => continue,
            Ok(regex) => match regex.is_match(text) {
                Ok(true) => '1',
                Ok(false) => '0',
                Err(TooCostly) => continue,
            },
        };
        if perl == 'E' && refused_by_perl_is_fine {
            continue;
        }
        compared += 1;
        if ours != perl {
            let core = translate::translate(pattern.as_bytes()).unwrap();
            writeln!(
                differences,
                "{pattern:?} on {:?}: perl {perl}, we {ours} with {core}",
                text.escape_ascii().to_string()
            )
            .unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
    compared
}

/// Patterns that must compile here, those of real check files first, then the traps.
const PATTERNS: &[&str] = &[
    "ok",
    "ok$",
    "^ok$",
    "^ok\\Z",
    "^ok\\z",
    "Test Page",
    "It works!",
    "<title>.*</title>",
    "(?i)welcome",
    "(?i:OK)|alive",
    "a.b",
    "(?s)a.b",
    "a\\Nb",
    "^b",
    "(?m)^b",
    "a$",
    "(?m)a$",
    "(?m)^$",
    "(?m)^\\z",
    "$",
    "^",
    "\\A\\z",
    "^\\s*ok\\s*$",
    "a$|b$",
    "(a$)",
    "(?:a$)\\n",
    "a$\\n",
    "(a|b)$",
    "a$?b",
    "\\v",
    "\\V",
    "\\h",
    "\\H",
    "a\\vb",
    "a\\hb",
    "\\R",
    "^\\R\\z",
    "\\X",
    "\\w+",
    "^\\w+$",
    "\\W",
    "\\d",
    "\\D",
    "\\s",
    "\\S",
    "\\bok\\b",
    "\\Bk",
    "ok\\b",
    "\\bb",
    "a\\B",
    "[[:alpha:]]",
    "[[:^alpha:]]",
    "[[:space:]]",
    "[[:punct:]]",
    "[[:word:]]+$",
    "(?i)[[:upper:]]",
    "[[:upper:]]",
    "[[:cntrl:]]",
    "[[:graph:]]",
    "[[:print:]]",
    "[[:blank:]]",
    "[[:xdigit:]]",
    "[[:ascii:]]",
    "[[:^ascii:]]",
    "\\x41",
    "\\x{41}",
    "\\x",
    "\\x4",
    "\\x{e9}",
    "\\x{263a}",
    "\\101",
    "\\012",
    "\\0",
    "\\x0a",
    "\\o{101}",
    "\\cA",
    "\\cj",
    "\\c[",
    "\\e",
    "\\t",
    "\\f",
    "\\a",
    "\\N{U+41}",
    "[\\n]",
    "[\\101-\\103]",
    "[\\x41-\\x43]",
    "[\\w-]",
    "[a-\\d]",
    "[]a]",
    "[^]a]",
    "[a\\]b]",
    "[-a]",
    "[a-]",
    "[^\\n]",
    "[\\b]",
    "[\\cA]",
    "[.]",
    "[$]",
    "[a^]",
    "[[a]",
    "[\\h]",
    "[\\v]",
    "[^\\W]",
    "[^\\s\\d]",
    "[\\\\]",
    "[a-c-e]",
    "[\\e]",
    "[\\-x]",
    "(?i)[a-z]B",
    "(?i)[^a]",
    "é",
    "^.é",
    "^..$",
    "[é]",
    "(?i)é",
    "(?i)É",
    "\\xe9",
    "(?i)\\xe9",
    "[\\xe0-\\xff]",
    "(?i)[\\xe9]",
    "\\p{L}",
    "\\p{Lu}",
    "\\P{L}",
    "\\pL\\w",
    "^\\p{L}+$",
    "[\\p{L}]",
    "(?i)\\p{L}\\xe9",
    "a*",
    "a+",
    "a?b",
    "a{2}",
    "a{2,}",
    "a{1,2}b",
    "a{,2}b",
    "a{ 1, 2 }b",
    "a{",
    "a{b",
    "a{}",
    "a{,}",
    "a{1",
    "a{1,2",
    "x{0}",
    "x{2,1}",
    "a*?b",
    "a+?b",
    "a++b",
    "a*+a",
    "a?+a",
    "a{1,2}+a",
    "(a{2}){2}",
    "(?:a*)*b",
    "(a|ab)(c|bcd)(d*)",
    "()*",
    "(?:)*a",
    "^*a",
    "\\b+a",
    "(a)\\1",
    "(a)(b)\\2\\1",
    "(?i)(a)\\1",
    "(a)|b\\1",
    "(?<x>a)\\k<x>",
    "(?'x'a)\\k'x'",
    "(?P<x>a)(?P=x)",
    "(?<x>a)\\k{x}",
    "(a)\\g1",
    "(a)\\g{1}",
    "(a)\\g{-1}",
    "(a)\\g-1",
    "(?<x>a)\\g{x}",
    "(a)\\10",
    "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\\10",
    "(a)\\1[0]",
    "(?n)(a)",
    "(a)(?n)(b)\\1",
    "(\\w)\\1",
    "(\\w+) \\1",
    "(?:(a)|b)*\\1",
    "(a*)\\1b",
    "(a)?\\1b",
    "\\1(a)",
    "(a\\1)",
    "(?=a)a",
    "(?!a)b",
    "(?<=a)b",
    "(?<!a)b",
    "(?<=a|bc)d",
    "(?<=\\n)b",
    "a(?=\\n)",
    "(?>a*)a",
    "(?>a|ab)c",
    "(?<=^|x)a",
    "(?<=a{1,3})b",
    "(?#comment)a",
    "a(?#comment)*b",
    "(?x) a b # comment",
    "(?x)a\\ b",
    "(?x)[ ]",
    "(?xx)[ a ]b",
    "(?x: a b )c d",
    "(?x)a #x\n b",
    "(?x)a +",
    "(?^i:A)",
    "(?^:a)",
    "(?i)a(?-i)b",
    "(?i)a(?^)b",
    "(?i:a)b",
    "(a(?i)b)c",
    "a(?i)b|c",
    "(?s-i:.)",
    "(?is)A.B",
    "(?m-s)^b.",
    "(?a)\\w",
    "(?ai)K",
    "(?|(a)|(b))",
    "(a)?(?(1)b|c)",
    "^(?:(a)|x)(?(1)b|c)$",
    "(?(?=a)ab|b)",
    "(?<q>a)?(?(<q>)b|c)",
    "(a)?(?(1)b)c",
    "(*FAIL)|a",
    "a(*F)|b",
    "(*pla:a)a",
    "(*nla:a)b",
    "(*plb:a)b",
    "(*nlb:a)b",
    "(*atomic:a*)a",
    "a\\Kb",
    "\\Ga",
    "\\Gb",
    "\\y",
    "\\-",
    "\\/",
    "\\@",
    "\\\"",
    "\\<a\\>",
    "@",
    "#",
    "a b",
    "a|",
    "|a",
    "a||b",
    "(|a)b",
    "]",
    "}",
    "{",
    "a{1}{",
    "\\Q",
    "~",
    "&&",
    "[a&&b]",
    "[+--]",
    "[a~~b]",
    "\\.",
    "\\$",
    "\\^",
    "\\|",
    "\\(",
    "\\[",
    "\\{",
    "\\*",
    "200 OK",
    "HTTP/1\\.[01] 200",
    "^(?:UP|OK)\\r?$",
    "(?m)^status: (?:up|ok)\\r?$",
    "\\{\"status\":\\s*\"UP\"",
    "{\"status\":\"UP\"}",
    "(?s)<html>.*</html>",
    "\\A\\d{1,3}(?:\\.\\d{1,3}){3}\\Z",
    "a.*b.*c",
    "(a+)+$",
];

const TEXTS: &[&[u8]] = &[
    b"",
    b"ok",
    b"ok\n",
    b"ok\n\n",
    b"OK",
    b"a",
    b"b",
    b"ab",
    b"a\nb",
    b"a\n",
    b"\n",
    b"\r\n",
    b"ab\ncd\n",
    b"b\n",
    b"aa",
    b"aab",
    b"AbA aBc",
    b"a b",
    b"a\tb",
    b"a\x0bb",
    b"a\x0cb",
    b"\x85",
    b"\xa0",
    b"a\xa0b",
    b"\xc3\xa9",
    b"\xe9",
    b"\xc9",
    b"x\xc3\xa9",
    b"A\x01B",
    b"\x1b\x07\x08",
    b"abcdefghijj",
    b"abcdefghija\x08",
    b"a\x08",
    b"a\x080",
    b"aa0",
    b"foo foo",
    b"{}[]()^$.|*+?\\-",
    b"a{,2}b a{ 1, 2 }b a{",
    b"x{2,1}a{}a{,}",
    b"bcd",
    b"abcd",
    b"ac",
    b"bc",
    b"c",
    b"<html>\n<title>Test Page</title>\nIt works!</html>",
    b"HTTP/1.1 200 OK",
    b"status: ok\r\nx",
    b"UP\r\n",
    b"{\"status\":\"UP\"}",
    b"10.0.0.1\n",
    b"Welcome",
    b"WELCOME",
    b"x y",
    b"\"@#<a>/y~&&Q",
    b"aaaaaaaaaaaaaaaaaaaaaab",
    b"\0",
    b"_9",
    b"kK",
    b"\xff\xfe",
];

#[test]
fn every_listed_pattern_means_what_perl_means() {
    let mut pairs = Vec::new();
    for pattern in PATTERNS.iter().filter(|pattern| !pattern.contains("\\Q")) {
        if let Err(why) = compile(pattern) {
            panic!("{pattern} is refused: {why}");
        }
        pairs.extend(TEXTS.iter().map(|text| ((*pattern).to_owned(), text.to_vec())));
    }
    assert!(agrees_with_perl(&pairs, false) > 10_000);
}

/// A small generator of patterns, so that combinations nobody thought of are compared as well.
struct Generator(u64);

impl Generator {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn pattern(&mut self, depth: usize) -> String {
        let mut text = String::new();
        for _ in 0..=self.below(4) {
            let atoms = [
                "a",
                "b",
                "A",
                "\\n",
                "\\w",
                "\\W",
                "\\s",
                "\\d",
                ".",
                "[ab]",
                "[^a]",
                "[^\\n]",
                "^",
                "$",
                "\\b",
                "\\B",
                "\\z",
                "\\Z",
                "\\v",
                "\\h",
                "\\1",
                "\\2",
                "(?i)",
                "(?m)",
                "(?s)",
                "(?-i)",
                " ",
                "\\x62",
                "\\141",
                "\\R",
                "[[:alpha:]]",
                "é",
                "\\xe9",
                "|",
                "\\N",
            ];
            let groups = ["(", "(?:", "(?=", "(?!", "(?>", "(?i:", "(?m:", "(?<x>", "(?^:", "(?|", "(?<=", "(?<!"];
            let mut looks = false;
            if depth > 0 && self.below(4) == 0 {
                let group = groups[self.below(groups.len())];
                looks = ["(?=", "(?!", "(?<=", "(?<!"].contains(&group);
                text.push_str(group);
                text.push_str(&self.pattern(depth - 1));
                text.push(')');
            } else {
                text.push_str(atoms[self.below(atoms.len())]);
            }
            // Perl 5.36 itself errs on some repeated anchors, e.g. (?:b^+?\\v){0,2} in a look-ahead.
            let anchor = text.ends_with(['^', '$', 'b', 'B', 'z', 'Z']) || looks;
            if self.below(4) == 0 && !anchor {
                let counts = ["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "+?", "??", "*+", "++", "{0}"];
                text.push_str(counts[self.below(counts.len())]);
            }
        }
        text
    }

    fn text(&mut self) -> Vec<u8> {
        (0..self.below(8)).map(|_| b"aabbAB\n\n \t1_\xe9\x0b\r"[self.below(15)]).collect()
    }
}

#[test]
fn generated_patterns_mean_what_perl_means() {
    let mut generator = Generator(20_261_120);
    let mut pairs = Vec::new();
    for _ in 0..2000 {
        let pattern = generator.pattern(3);
        for _ in 0..4 {
            pairs.push((pattern.clone(), generator.text()));
        }
    }
    pairs.retain(|(pattern, _)| !pattern.is_empty());
    assert!(agrees_with_perl(&pairs, true) > 2500);
}

#[test]
fn what_cannot_be_expressed_is_refused_with_its_reason() {
    let cases = [
        ("a)", "a ) without its ("),
        ("(a", "a ( without its )"),
        ("[a", "a [ without its ]"),
        ("*a", "a * with nothing before it to repeat"),
        ("a**", "a repetition of a repetition, as in a**; put the inner one in (?:...)"),
        ("a\\", "a \\ at the end"),
        ("[b-a]", "a range that ends before it starts"),
        ("\\2(a)", "a reference to group 2, which does not exist"),
        ("\\k<x>", "a reference to group x, which does not exist"),
        ("(?1)(a)", "recursion into a group is not supported"),
        ("(?R)", "recursion into a group is not supported"),
        ("(?{ system 'reboot' })", "Perl code in a pattern is not run"),
        ("(??{ 'a' })", "Perl code in a pattern is not run"),
        ("a(*SKIP)b", "verbs such as (*SKIP) are not supported"),
        ("\\b{wb}", "\\b{...} is not supported"),
        ("\\N{LATIN SMALL LETTER A}", "characters by name, \\N{...}, are not supported; write \\x{...}"),
        ("(?|(a)|(b))\\1", "(?|...) together with references to groups is not supported"),
        ("[[:foo:]]", "[:foo:] is no class"),
        ("\\p{Klingon}", "the Unicode property Klingon is not known here"),
        ("(?u)a", "the flag u is not supported"),
        ("a{65535}", "a repetition count above 65534"),
        ("(?<=a++)b", "a repetition that gives nothing back inside a look-behind is not supported"),
    ];
    for (pattern, why) in cases {
        assert_eq!(compile(pattern).unwrap_err(), why, "{pattern}");
    }
    assert_eq!(compile(&"a".repeat(5000)).unwrap_err(), "longer than 4096 bytes");
    assert!(compile(&"(".repeat(2000)).unwrap_err().contains("nested more than 100 deep"));
    for pattern in ["(?:(?:(?:a{1000}){1000}){1000})", "(?=((a{9999}){9999}){9999})"] {
        assert_eq!(compile(pattern).unwrap_err(), "too large once its repetitions are written out", "{pattern}");
    }
}

#[test]
fn quoted_text_stands_for_itself() {
    assert!(matches("^\\Qa.b*(\\E+$", b"a.b*((("));
    assert!(!matches("\\Qa.b", b"axb"));
    assert!(matches("\\Q[$]", b"[$]"));
}

#[test]
fn a_body_that_is_no_text_is_matched_byte_by_byte() {
    assert!(matches("^\\xff.\\x00$", b"\xff\xfe\x00"));
    assert!(matches("ü", "Grüße".as_bytes()));
}

#[test]
fn a_catastrophic_pattern_ends_undecided_and_soon() {
    let text = vec![b'a'; 60_000];
    for pattern in ["(a*)*\\1b", "^(a|a)+\\1b", "(a+)+\\1$b"] {
        assert_eq!(compile(pattern).unwrap().is_match(&text), Err(TooCostly), "{pattern}");
    }
    // Without look-around and references the engine is linear and decides.
    assert!(!matches("(a+)+b", &text));
}

#[test]
fn a_pattern_that_needs_backtracking_reads_a_whole_body() {
    let mut text = vec![b'.'; 64 * 1024];
    for pattern in ["(o)k\\1", "\\bok\\b", "(?=ok)o", "(?m)^ok$"] {
        assert!(!matches(pattern, &text), "{pattern}");
    }
    text.extend_from_slice(b"\nok\nokok ");
    for pattern in ["(o)k\\1", "\\bok\\b", "(?=ok)o", "(?m)^ok$"] {
        assert!(matches(pattern, &text), "{pattern}");
    }
}

#[test]
fn no_text_whatever_breaks_the_reader_or_the_engine() {
    let pieces = [
        "(", ")", "[", "]", "{", "}", "?", "*", "+", "|", "^", "$", "\\", ".", "-", ":", "<", ">", "=", "!", "'", "#",
        ",", "0", "1", "9", "a", "x", "P", "Q", "E", "N", "U", "g", "k", "c", "o", "i", "&", "R", "\0", "\n", " ", "é",
        "\u{263a}", "(?", "(*", "[:", ":]", "\\x{", "(?<",
    ];
    let mut generator = Generator(7);
    let mut compiled = 0;
    for _ in 0..4000 {
        let length = generator.below(12);
        let pattern: String = (0..length).map(|_| pieces[generator.below(pieces.len())]).collect();
        if let Ok(regex) = compile(&pattern) {
            compiled += 1;
            let _decided = regex.is_match(&generator.text());
        }
    }
    assert!(compiled > 100, "{compiled}");
}
