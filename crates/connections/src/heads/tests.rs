use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// Of how many requests something has come.
fn waiting(heads: &Heads) -> usize {
    heads.whole() + usize::from(heads.is_half())
}

/// Follows bytes that come on an idle connection, whose first request is begun if it is whole.
fn hear(heads: &mut Heads, bytes: &str) -> bool {
    heads.follow(bytes.as_bytes(), true)
}

#[test]
fn half_a_head_waits_however_it_comes() {
    let whole = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    for split in 1..whole.len() {
        let mut heads = Heads::default();
        let (first, second) = whole.split_at(split);
        assert!(hear(&mut heads, first));
        assert_eq!(waiting(&heads), 1);
        assert!(hear(&mut heads, second));
        heads.begin(false);
        assert!(!heads.is_waiting(), "split at {split}");
    }
}

#[test]
fn what_came_behind_a_request_waits_when_that_is_begun() {
    for (bytes, expected) in [
        ("GET / HTTP/1.1\r\n\r\nGET / HT", 1),
        ("GET / HTTP/1.1\r\n\r\n", 0),
        ("GET / HTTP/1.1\n\n", 0),
        // Empty lines are no request.
        ("GET / HTTP/1.1\r\n\r\n\r\n", 0),
        ("GET / HTTP/1.1\r\n\r\n\r\n\r\n\nGET", 1),
        ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nG", 3),
    ] {
        let mut heads = Heads::default();
        hear(&mut heads, bytes);
        heads.begin(false);
        assert_eq!(waiting(&heads), expected, "{bytes:?}");
    }
}

#[test]
fn an_empty_line_is_found_wherever_it_is() {
    // Heads of every length around those of the pieces that are compared at once.
    for padding in 0..700 {
        for end in ["\r\n\r\n", "\n\n", "\n\r\n"] {
            let head = format!("GET / HTTP/1.1\r\nx: {}{end}", "y".repeat(padding));
            let behind = format!("{head}GET / HTTP/1.1\r\n\r\n");
            for (bytes, expected) in [(&head, 1), (&behind, 2)] {
                let mut heads = Heads::default();
                hear(&mut heads, bytes);
                assert_eq!((heads.whole(), heads.is_half()), (expected, false), "{bytes:?}");
            }
        }
    }
}

#[test]
fn a_body_is_not_half_a_head() {
    let length = "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    for (head, rest, waits) in [
        (length, "body", false),
        (length, "bo\n\n", false),
        (length, "bodyGET / HT", true),
        (length, "bodyG", true),
        (length, "bo\n\nGET / HT", true),
        // Some clients send an empty line behind a body.
        (length, "body\r\n", false),
        (length, "body\r\n\r", true),
        (chunked, "4\r\nbody\r\n0\r\n\r\n", false),
        (chunked, "4\r\nbody\r\n0\r\n\r\nGET / HT", true),
    ] {
        let whole = format!("{head}{rest}");
        for split in 0..whole.len() {
            let mut heads = Heads::default();
            let (first, second) = whole.split_at(split);
            let mut begun = false;
            for piece in [first, second].into_iter().filter(|piece| !piece.is_empty()) {
                heads.follow(piece.as_bytes(), !begun);
                if !begun && (split >= head.len() || piece == second) {
                    begun = true;
                    heads.begin(true);
                }
            }
            heads.end_body(4, head == chunked);
            assert_eq!(heads.is_waiting(), waits, "{rest:?} split at {split}");
        }
    }
}

#[test]
fn requests_behind_a_body_wait_where_they_came_with_it() {
    let head = "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\n";
    for (rest, expected) in [
        ("bodyGET / HTTP/1.1\r\n\r\n", 1),
        ("b\n\nyGET / HTTP/1.1\r\n\r\nG", 2),
        ("bo\n\nGET / HTTP/1.1\n\nGET / HTTP/1.1\n\n", 2),
        ("bo\n\n", 0),
    ] {
        let mut heads = Heads::default();
        hear(&mut heads, &format!("{head}{rest}"));
        heads.begin(true);
        assert!(!heads.is_waiting(), "it may all be the body");
        heads.end_body(4, false);
        assert_eq!(waiting(&heads), expected, "{rest:?}");
    }
}

#[test]
fn half_an_empty_line_behind_a_body_is_no_end_of_a_head() {
    for behind in ["\r\n\r", "GET / HTTP/1.1\n\n\r", "\r"] {
        let mut heads = Heads::default();
        hear(&mut heads, "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nbo");
        heads.begin(true);
        heads.follow(format!("dy{behind}").as_bytes(), false);
        heads.end_body(4, false);
        assert_eq!(waiting(&heads), 1, "{behind:?}");
        hear(&mut heads, "\nGET / HTTP/1.1\r\n\r\n");
        heads.begin(false);
        assert!(!heads.is_waiting(), "{behind:?}");
    }
}

#[test]
fn what_is_left_of_an_unwanted_body_does_not_wait_for_ever() {
    let mut heads = Heads::default();
    hear(&mut heads, "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbo");
    heads.begin(true);
    // Its handler has answered.
    assert!(hear(&mut heads, "dy\r\n"));
    assert!(heads.is_waiting());
    assert!(hear(&mut heads, "0\r\n\r\n"));
    assert!(!heads.is_waiting());
    hear(&mut heads, "GET / HTTP/1.1\r\n\r\n");
    heads.begin(false);
    assert!(!heads.is_waiting());
    hear(&mut heads, "GET");
    assert!(heads.is_waiting());
}

#[test]
fn empty_lines_between_requests_mean_nothing() {
    let mut heads = Heads::default();
    hear(&mut heads, "GET / HTTP/1.1\r\n\r\n");
    heads.begin(false);
    for empty in ["\r\n", "\n", "\r\n\r\n", "\n\r\n\n\r\n\r\n"] {
        assert!(!hear(&mut heads, empty), "{empty:?}");
        assert!(!heads.is_waiting(), "{empty:?}");
    }
    // A line that has only begun is something, and has its time to end.
    assert!(hear(&mut heads, "\r"));
    assert!(heads.is_waiting());
    assert!(hear(&mut heads, "\nGET / HTTP/1.1\r\n\r\n"));
    heads.begin(false);
    assert!(!heads.is_waiting());
    assert!(hear(&mut heads, "G"));
    assert!(hear(&mut heads, "\r\n"), "inside a request they end a line");
    assert!(heads.is_waiting());
}

proptest! {
    /// Requests without a body, with empty lines between them, in pieces of any size.
    #[test]
    fn requests_are_counted_however_they_are_cut(
        requests in vec(select(vec![
            "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\n\n", "A\n\r\n", "\r\n", "\n",
            "GET /\r HTTP/1.1\r\nx: \r\r\n\r\n",
        ]), 0..8),
        half in select(vec!["", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: x\r\n\r"]),
        cuts in vec(1_usize..12, 0..40),
    ) {
        let whole = requests.concat() + half;
        let mut heads = Heads::default();
        let mut rest = whole.as_bytes();
        let mut after_cr = false;
        for cut in cuts.into_iter().chain([whole.len()]) {
            let (piece, later) = rest.split_at(cut.min(rest.len()));
            // Half of an empty line counts as the beginning of a request.
            after_cr |= piece.ends_with(b"\r");
            heads.follow(piece, false);
            rest = later;
        }
        let count = requests.iter().filter(|request| !request.trim().is_empty()).count();
        if !after_cr {
            prop_assert_eq!(waiting(&heads), count + usize::from(!half.is_empty()));
        }
        for _ in 0..count {
            heads.begin(false);
        }
        prop_assert!(half.is_empty() || heads.is_waiting());
    }
}

#[test]
fn behind_a_body_of_a_known_length_everything_is_known() {
    let head = "POST / HTTP/1.1\r\nhost: x\r\n\r\n";
    // Bodies that look like heads, or like the ends of some.
    for body in ["GET / HTTP/1.1\r\n\r\n", "\r\n\r\n", "abc", "\n\n\n\n\nab"] {
        for (behind, whole, half) in [
            ("", 0, false),
            ("GET / HT", 0, true),
            ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", 1, false),
            ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nho", 1, true),
        ] {
            let all = format!("{head}{body}{behind}");
            // All of the head and some of the body come at once; the rest is cut in two.
            for first in head.len()..head.len() + body.len() {
                for second in first..all.len() {
                    let mut heads = Heads::default();
                    hear(&mut heads, &all[..first]);
                    heads.begin_sized(body.len() as u64);
                    assert!(heads.is_in_body());
                    heads.follow(&all.as_bytes()[first..second], false);
                    heads.follow(&all.as_bytes()[second..], false);
                    let known = (heads.is_in_body(), heads.whole(), heads.is_half());
                    assert_eq!(known, (false, whole, half), "{first} {second} {all:?}");
                }
            }
        }
    }
}
