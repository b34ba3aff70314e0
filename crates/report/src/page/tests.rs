//! What a page is made of; how it looks and behaves is tested in a browser (`tests/page.rs`).

use super::*;
use crate::{Cause, FileReport};

fn file(path: &str, layer: usize, dead: Option<Cause>) -> FileReport {
    FileReport {
        path: path.into(),
        layer,
        size: 10,
        dead,
        by: dead.map(|_| layer + 1),
        duplicate: false,
        package: None,
        compressed_approximate: 0,
    }
}

#[test]
fn files_become_columns_with_each_directory_once() {
    let list = [file("/a/b/c", 0, None), file("/a/d", 0, Some(Cause::Deleted)), file("/e", 1, None)];
    let (directories, files) = files::columns(&list);
    let data = serde_json::to_value((directories, files)).unwrap();
    assert_eq!(data[0], serde_json::json!({ "parent": [0, 0, 1], "name": ["", "a", "b"] }));
    assert_eq!(data[1]["directory"], serde_json::json!([2, 1, 0]));
    assert_eq!(data[1]["name"], serde_json::json!(["c", "d", "e"]));
    assert_eq!(data[1]["fate"], serde_json::json!([0, 3, 0]));
    assert_eq!(data[1]["by"], serde_json::json!([-1, 1, -1]));
}

#[test]
fn nothing_in_the_data_can_end_its_element() {
    let evil = "</script><script>alert(1)</script><!--{{script}}";
    let page = page(evil, "let x;", &evil).unwrap();
    assert_eq!(page.matches("</script>").count(), 2, "{page}");
    assert_eq!(page.matches("<!--").count(), 0);
    assert_eq!(page.matches("let x;").count(), 1, "what the data names is not put in");
    assert!(page.contains("<title>&lt;/script>"));
}

#[test]
fn a_page_names_nothing_outside_itself() {
    for script in [REPORT_SCRIPT, DIFF_SCRIPT] {
        let page = page("x", script, &()).unwrap().replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "//cdn", "@import", "url(", "src=\"", "href="] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
