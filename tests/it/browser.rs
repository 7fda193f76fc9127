//! A real browser for the tests: headless Chromium, driven over WebDriver by a chromedriver that belongs to the test alone.
//! `scripts/services` installs both and says where axe-core, the checker of accessibility, lies.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    time::Duration,
};

use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource as _, KeyAction, KeyActions},
    elements::Element,
    key::Key,
    wd::{TimeoutConfiguration, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{harness::PATIENCE, services::variable};

/// How large the window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    /// 380 pixels wide.
    Phone,
    /// 1280 pixels wide.
    Desktop,
}

impl Screen {
    fn size(self) -> (u32, u32) {
        match self {
            Self::Phone => (380, 800),
            Self::Desktop => (1280, 900),
        }
    }
}

/// Whether pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    /// They may.
    Run,
    /// The browser runs none: what its settings call "JavaScript: not allowed".
    Blocked,
}

/// A browser with a profile of its own. It ends with its test, whatever comes of it.
pub(crate) struct Browser {
    /// For what is not here.
    pub(crate) client: Client,
    profile: TempDir,
    _driver: Child,
}

impl Browser {
    /// Starts a browser that runs scripts.
    pub(crate) async fn start(screen: Screen) -> Self {
        Self::start_with(screen, Scripts::Run).await
    }

    /// Starts a browser.
    pub(crate) async fn start_with(screen: Screen, scripts: Scripts) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let (driver, port) = driver().await;
        let (width, height) = screen.size();
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {
                "args": [
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-quic",
                    "--disable-dev-shm-usage",
                    "--no-first-run",
                    "--no-proxy-server",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--hide-scrollbars",
                    "--force-device-scale-factor=1",
                    "--lang=zh-CN",
                    format!("--window-size={width},{height}"),
                    format!("--user-data-dir={}", profile.path().display()),
                ],
                "prefs": {
                    "intl.accept_languages": "zh-CN,zh",
                    "profile.managed_default_content_settings.javascript": match scripts {
                        Scripts::Run => 1,
                        Scripts::Blocked => 2,
                    },
                },
            },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|error| panic!("Chromium does not start ({error}): run scripts/services …"));
        let browser = Self { client, profile, _driver: driver };
        browser
            .client
            .update_timeouts(TimeoutConfiguration::new(Some(PATIENCE), Some(PATIENCE), Some(Duration::ZERO)))
            .await
            .unwrap();
        browser.show(screen).await;
        browser
    }

    /// Makes the page as large as the screen: a window has a least width, a screen that is imitated has none.
    pub(crate) async fn show(&self, screen: Screen) {
        let (width, height) = screen.size();
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": screen == Screen::Phone });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Lets the browser itself do something that WebDriver has no word for.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let command = Devtools(json!({ "cmd": command, "params": parameters }));
        self.client.issue_cmd(command).await.unwrap()
    }

    /// Goes to an address and returns when the page is there.
    pub(crate) async fn open(&self, address: impl AsRef<str>) {
        self.client.goto(address.as_ref()).await.unwrap();
    }

    /// Where it is.
    pub(crate) async fn address(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    /// The first element that a selector finds, once there is one.
    pub(crate) async fn find(&self, selector: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("no {selector} ({error}) on {}:\n{}", self.address().await, self.page().await),
        }
    }

    /// How many elements a selector finds right now.
    pub(crate) async fn count(&self, selector: &str) -> usize {
        self.client.find_all(Locator::Css(selector)).await.unwrap().len()
    }

    /// What is read at an element; where it belonged to a page that was just being left, at the one on the page that came.
    pub(crate) async fn text(&self, selector: &str) -> String {
        match self.find(selector).await.text().await {
            Err(left) if left.is_stale_element_reference() => self.find(selector).await.text().await.unwrap(),
            read => read.unwrap(),
        }
    }

    /// What is read on the whole page.
    pub(crate) async fn page(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Clicks on an element.
    pub(crate) async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap();
    }

    /// Types into a field, after what stands there; a file's path into a file field.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        self.find(selector).await.send_keys(text).await.unwrap();
    }

    /// Types wherever the focus is; a [`Key`] is one character.
    pub(crate) async fn keys(&self, keys: impl std::fmt::Display) {
        let strokes = keys.to_string().chars().fold(KeyActions::new("keyboard".to_owned()), |strokes, value| {
            strokes.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.client.perform_actions(strokes).await.unwrap();
    }

    /// Tabs until the element that a selector finds has the focus; a person without a mouse has no other way.
    pub(crate) async fn tab_to(&self, selector: &str) {
        const MOST: usize = 200;
        let wanted = self.find(selector).await.element_id();
        for _ in 0..MOST {
            if self.client.active_element().await.unwrap().element_id() == wanted {
                return;
            }
            self.keys(Key::Tab).await;
        }
        panic!("{selector} cannot be reached by the keyboard");
    }

    /// Runs a script in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Whether the page is no wider than the screen: nobody scrolls sideways on a phone.
    pub(crate) async fn fits(&self) -> bool {
        let script = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        self.run(script).await == json!(true)
    }

    /// What axe-core finds serious or critical on the page, one line each.
    pub(crate) async fn barriers(&self) -> Vec<String> {
        let path = variable("JIESU_TEST_AXE");
        let axe = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        self.client.execute(&axe, Vec::new()).await.unwrap();
        let run = "const done = arguments[arguments.length - 1];\
                   axe.run(document, { resultTypes: ['violations'] })\
                      .then(found => done(found.violations), error => done(String(error)))";
        let found = self.client.execute_async(run, Vec::new()).await.unwrap();
        let found = found.as_array().unwrap_or_else(|| panic!("axe-core failed: {found}"));
        let serious = |finding: &&Value| matches!(finding["impact"].as_str(), Some("serious" | "critical"));
        found.iter().filter(serious).map(barrier).collect()
    }

    /// Fails unless axe-core finds nothing serious on the page.
    pub(crate) async fn is_accessible(&self) {
        let barriers = self.barriers().await;
        assert!(barriers.is_empty(), "{}:\n{}", self.address().await, barriers.join("\n"));
    }

    /// Writes the whole page, as it looks, to `target/screenshots/NAME.png`, or to the folder that `JIESU_SCREENSHOTS` names.
    pub(crate) async fn screenshot(&self, name: &str) -> PathBuf {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let folder = std::env::var_os("JIESU_SCREENSHOTS")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots"), PathBuf::from);
        fs::create_dir_all(&folder).unwrap();
        let asked = json!({ "format": "png", "captureBeyondViewport": true });
        let taken = self.devtools("Page.captureScreenshot", asked).await;
        let file = folder.join(format!("{name}.png"));
        fs::write(&file, STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()).unwrap();
        file
    }

    /// Ends the browser.
    pub(crate) async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}

impl Drop for Browser {
    /// A test that failed has not closed it, and the driver does not take it along: whatever runs on our profile ends.
    fn drop(&mut self) {
        let profile = self.profile.path().display().to_string();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&command).contains(&profile) {
                let _ = std::process::Command::new("kill").arg("-KILL").arg(process.file_name()).output();
            }
        }
    }
}

fn barrier(finding: &Value) -> String {
    let places: Vec<_> =
        finding["nodes"].as_array().into_iter().flatten().map(|node| node["target"].to_string()).collect();
    format!("{} {}: {} {}", finding["impact"], finding["id"], finding["help"], places.join(" "))
}

/// Starts a driver on a port of its own choice.
async fn driver() -> (Child, u16) {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("chromedriver does not start ({error}): run scripts/services …"));
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = tokio::time::timeout(PATIENCE, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says its port before it ends");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return port.trim_end_matches('.').parse().unwrap();
            }
        }
    });
    let port = port.await.expect("chromedriver starts");
    (driver, port)
}

/// A command of Chromium's own, sent through the driver.
#[derive(Debug)]
struct Devtools(Value);

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}

/// A page with two faults that a reader of the screen runs into, and a script that shows whether scripts run.
const PAGE: &str = "<!doctype html><html lang=zh-CN><title>页面</title><meta name=viewport content='width=device-width'><main><h1>标题</h1><img src='data:,'><input name=who>\
                    <p id=script>no</p></main><script>document.getElementById('script').textContent = 'yes'</script>";

fn page() -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("data:text/html;charset=utf-8;base64,{}", STANDARD.encode(PAGE))
}

#[tokio::test]
#[ignore = "needs chromium, see scripts/services"]
async fn a_page_is_read_typed_into_and_checked_in_a_real_browser() {
    let browser = Browser::start(Screen::Phone).await;
    browser.open(page()).await;
    assert_eq!(browser.text("h1").await, "标题");
    assert_eq!(browser.text("#script").await, "yes");
    assert_eq!(browser.run("return window.innerWidth").await, json!(380));
    assert!(browser.fits().await);
    browser.click("h1").await;
    browser.tab_to("input").await;
    browser.keys("张三").await;
    assert_eq!(browser.find("input").await.prop("value").await.unwrap().as_deref(), Some("张三"));
    let barriers = browser.barriers().await.join("\n");
    assert!(barriers.contains("image-alt") && barriers.contains("label"), "{barriers}");
    browser.show(Screen::Desktop).await;
    assert_eq!(browser.run("return window.innerWidth").await, json!(1280));
    browser.run("document.querySelectorAll('img, input').forEach(fault => fault.remove())").await;
    browser.is_accessible().await;
    let picture = fs::read(browser.screenshot("browser").await).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium, see scripts/services"]
async fn a_browser_that_runs_no_scripts_can_still_be_driven() {
    let browser = Browser::start_with(Screen::Desktop, Scripts::Blocked).await;
    browser.open(page()).await;
    assert_eq!(browser.text("#script").await, "no");
    browser.fill("input", "李四").await;
    assert_eq!(browser.count("input").await, 1);
    browser.close().await;
}
