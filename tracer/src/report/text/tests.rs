use super::{TextOptions, render};
use crate::journey::model::{Document, Trace};
use crate::report::examples;
use crate::report::style::Style;

fn trace(document: Document) -> Trace {
    Trace {
        document,
        packets: Vec::new(),
    }
}

fn shown(document: &Document, width: usize, unicode: bool, verbose: u8) -> String {
    let style = Style {
        color: false,
        unicode,
        width,
    };
    let options = TextOptions {
        style,
        verbose,
        layers: false,
    };
    render(&trace(document.clone()), &options)
}

#[test]
fn every_story_reads_well() {
    for (name, document) in examples::all() {
        insta::assert_snapshot!(format!("{name}_80"), shown(&document, 80, true, 0));
        insta::assert_snapshot!(format!("{name}_120"), shown(&document, 120, true, 0));
    }
}

#[test]
fn events_are_aligned_where_there_is_room_and_wrapped_where_not() {
    let document = examples::shop();
    insta::assert_snapshot!("shop_verbose_80", shown(&document, 80, true, 1));
    insta::assert_snapshot!("shop_verbose_120", shown(&document, 120, true, 1));
}

#[test]
fn asking_twice_shows_hellos_certificates_and_headers() {
    insta::assert_snapshot!(
        "shop_very_verbose_100",
        shown(&examples::shop(), 100, true, 2)
    );
}

#[test]
fn without_unicode_everything_is_ascii() {
    for (name, document) in examples::all() {
        let text = shown(&document, 80, false, 2);
        assert!(text.is_ascii(), "{name}: {text}");
    }
    insta::assert_snapshot!("shop_ascii_80", shown(&examples::shop(), 80, false, 0));
}
