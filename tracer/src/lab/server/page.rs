//! The pages of the lab's shop.

use std::fmt::Write;

/// Articles on the shop's front page; they make it about 13 kB, so that the response takes
/// several segments and more than one round trip's worth of them.
const ARTICLES: usize = 48;

/// The shop's front page.
pub(super) fn shop() -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>Shop Test: everything but the box</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/shop.css\">\n\
         <script src=\"/assets/shop.js\" defer></script>\n</head>\n<body>\n\
         <header><h1>Shop Test</h1><nav><a href=\"/new\">New</a> <a href=\"/sale\">Sale</a> \
         <a href=\"/cart\">Cart</a></nav></header>\n<main>\n",
    );
    let things = ["Lamp", "Kettle", "Chair", "Atlas", "Radio", "Clock"];
    let kinds = ["plain", "folding", "pocket", "travel", "garden", "workshop"];
    for number in 0..ARTICLES {
        let thing = things.iter().cycle().nth(number).unwrap_or(&"Thing");
        let kind = kinds.iter().cycle().nth(number / 6).unwrap_or(&"plain");
        let price = 9 + (number * 37) % 90;
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "<article id=\"a{number:03}\"><img src=\"/img/{number:03}.webp\" width=\"320\" \
             height=\"240\" alt=\"{thing}, {kind}\">\n<h2>{thing}, {kind}</h2>\n\
             <p class=\"price\">{price}.00 EUR</p>\n\
             <p>Delivered in two days. <a href=\"/a/{number:03}\">Look closer</a></p></article>",
        );
    }
    page.push_str("</main>\n<footer>Served by the lab of tracer.</footer>\n</body>\n</html>\n");
    page
}

/// What `plain.test` shows.
pub(super) const PLAIN: &str =
    "<!DOCTYPE html>\n<title>plain</title>\n<p>Not encrypted: every byte of this is on the wire.\n";

/// What an unknown path gets.
pub(super) const NOT_FOUND: &str = "<!DOCTYPE html>\n<title>404</title>\n<p>No such page.\n";

#[cfg(test)]
mod tests {
    #[test]
    fn the_front_page_takes_several_segments() {
        let length = super::shop().len();
        assert!((10_000..20_000).contains(&length), "{length}");
    }
}
