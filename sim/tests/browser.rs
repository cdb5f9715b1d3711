//! The page of a sweep in a real browser: clicked through, at the width of a desk and of a phone.
//!
//! Needs Debian's `chromium-driver`; elsewhere it says so and passes. Continuous integration installs it.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const SPEC: &str = r#"(
    name: "browsed",
    task: train(limit: 160, seeds: 2),
    set: {"epochs": 1, "modes": "[]"},
    axes: [
        grid({"mac.a + mac.b + roles.weights.format + roles.activations.format + roles.errors.format": ["e4m3fn", "e5m2", "e2m5"]}),
        grid({"array.rows": [4, 8, 0]}),
    ],
)"#;

/// A WebDriver session; the browser ends with it.
struct Browser {
    driver: Child,
    session: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn post(address: &str, body: &Value) -> Value {
    let mut answer = ureq::post(address).send_json(body).unwrap_or_else(|e| panic!("{address} {body}: {e}"));
    let answer: Value = answer.body_mut().read_json().expect("JSON");
    answer["value"].clone()
}

impl Browser {
    fn start() -> Option<Self> {
        let mut driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let said = BufReader::new(driver.stdout.take()?);
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        })?;
        let options = json!({"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]});
        let capabilities = json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let address = format!("http://127.0.0.1:{port}/session");
        let session = post(&address, &json!({"capabilities": {"alwaysMatch": capabilities}}));
        Some(Self { driver, session: format!("{address}/{}", session["sessionId"].as_str()?) })
    }

    fn post(&self, what: &str, body: &Value) -> Value {
        post(&format!("{}/{what}", self.session), body)
    }

    fn click(&self, selector: &str) {
        let element = self.post("element", &json!({"using": "css selector", "value": selector}));
        let id = element.as_object().and_then(|e| e.values().next()).and_then(Value::as_str).expect("an element").to_owned();
        self.post(&format!("element/{id}/click"), &json!({}));
    }

    fn evaluate(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": format!("return {script};"), "args": []}))
    }

    fn resize(&self, width: u32, height: u32) {
        self.post("window/rect", &json!({"width": width, "height": height}));
    }
}

fn systole(args: &[&std::ffi::OsStr]) {
    let output = Command::new(env!("CARGO_BIN_EXE_systole")).args(args).output().expect("systole runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_page_is_clicked_through() {
    let Some(browser) = Browser::start() else {
        eprintln!("skipped: needs a browser and its driver (Debian's chromium-driver), which are not here");
        return;
    };
    let directory = tempfile::tempdir().expect("temporary directory");
    let (spec, out): (PathBuf, PathBuf) = (directory.path().join("spec.ron"), directory.path().join("out"));
    std::fs::write(&spec, SPEC).expect("a file");
    systole(&["sweep".as_ref(), spec.as_ref(), "--out".as_ref(), out.as_ref()]);
    systole(&["report".as_ref(), out.as_ref()]);
    browser.resize(1280, 900);
    browser.post("url", &json!({"url": format!("file://{}", out.join("report.html").display())}));
    assert_eq!(browser.evaluate("document.title"), "systole: browsed");

    // The first answer leads to the design in full, which unfolds.
    assert_eq!(browser.evaluate("document.querySelectorAll('details.point[open]').length"), 0);
    browser.click(".pick .name");
    let opened = browser.evaluate("document.querySelector('details.point[open]').id");
    assert_eq!(browser.evaluate("location.hash.slice(1)"), opened);
    assert_eq!(browser.evaluate(&format!("document.querySelector('#{}').open", opened.as_str().expect("an id"))), true);

    // So does a mark of a chart, which names its design where it is pointed at.
    browser.click("nav a[href='#fronts']");
    let mark = "document.querySelector('#figure-front-energy svg > a:last-of-type')";
    let target = browser.evaluate(&format!("{mark}.getAttribute('href')"));
    assert!(browser.evaluate(&format!("{mark}.querySelector('title').textContent")).as_str().is_some_and(|title| title.contains("TFLOPS")));
    browser.click("#figure-front-energy svg > a:last-of-type");
    assert_eq!(browser.evaluate("location.hash"), target);
    assert_eq!(browser.evaluate(&format!("document.querySelector('{}').open", target.as_str().expect("a target"))), true);

    // A heading sorts, and again the other way round.
    let accuracies = "[...document.querySelectorAll('#points tbody tr')].map(row => Number(row.cells[3].dataset.sort))";
    let sorted = |descending: bool| {
        let all: Vec<f64> = browser.evaluate(accuracies).as_array().expect("rows").iter().filter_map(Value::as_f64).collect();
        assert_eq!(all.len(), 9);
        all.windows(2).all(|pair| if descending { pair[0] >= pair[1] } else { pair[0] <= pair[1] })
    };
    browser.click("#points th:nth-child(4)");
    assert!(sorted(true));
    browser.click("#points th:nth-child(4)");
    assert!(sorted(false));

    // Only what is worth a look stays, and failed designs are told.
    let visible = "[...document.querySelectorAll('#points tbody tr')].filter(row => row.offsetParent !== null).length";
    assert_eq!(browser.evaluate(visible), 9);
    browser.click("#worthwhile");
    let worthwhile = browser.evaluate(visible).as_u64().expect("a number");
    assert!((1..7).contains(&worthwhile), "{worthwhile}");
    assert_eq!(browser.evaluate("document.querySelectorAll('details.point .error').length"), 3);

    // Nothing is wider than the window, at either width; pictures are as wide as they may be.
    for width in [1280, 390] {
        browser.resize(width, 900);
        let (inner, scroll) = (browser.evaluate("innerWidth"), browser.evaluate("document.documentElement.scrollWidth"));
        assert!(scroll.as_u64() <= inner.as_u64(), "{width}: {scroll} of {inner}");
        let narrowest =
            browser.evaluate("Math.min(...[...document.querySelectorAll('section svg')].map(svg => svg.clientWidth || Infinity))");
        assert!(narrowest.as_f64() > Some(300.0), "{width}: {narrowest}");
    }
    let log = browser.post("se/log", &json!({"type": "browser"}));
    assert_eq!(log, json!([]), "the page complains");
}
