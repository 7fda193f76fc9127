//! Matching among a million tickets: how long it takes to find what a new complaint is the same as, beside a full-text
//! search in the same run. The texts are generated: places by Zipf's law, problems told in several ways, hot spots.
//!
//! ```text
//! cargo bench --bench matching -- [--sizes 100000,1000000] [--queries N] [--search N (0: no full-text index)]
//! ```
//!
//! One thread. A query is what the issuer does for one complaint: ask the index, read the stored signatures of what it
//! offers out of SQLite, decide. The search is `SQLite`'s FTS5 with its trigram tokenizer, asked for the same number of
//! complaints by the rarest trigrams of the same texts.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a benchmark prints, counts in floating point, and ends at the first thing that is not as expected"
)]

use std::time::{Duration, Instant};

use jiesu::{
    assess::ShownComplaint,
    ids::{EntryId, TicketId},
    matching::{CANDIDATES, Frequencies, Index, Neighbour, Signature, Vocabulary, decide},
};
use sqlx::{AnyPool, AssertSqlSafe, Row as _, any::AnyPoolOptions};

struct Options {
    sizes: Vec<usize>,
    queries: usize,
    search: usize,
}

fn options() -> Options {
    let mut options = Options { sizes: vec![100_000, 1_000_000], queries: 5_000, search: 100 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("a value");
        match argument.as_str() {
            "--sizes" => options.sizes = value().split(',').map(|size| size.parse().expect("a number")).collect(),
            "--queries" => options.queries = value().parse().expect("a number"),
            "--search" => options.search = value().parse().expect("a number"),
            _ => {}
        }
    }
    options
}

/// A small generator of its own, so that every run sees the same texts.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) % sides as u64) as usize
    }

    /// Small numbers often, large ones seldom: about one over its rank.
    fn zipf(&mut self, sides: usize) -> usize {
        let unit = self.roll(1 << 30) as f64 / f64::from(1 << 30);
        (((sides as f64 + 1.0).powf(unit)) as usize).saturating_sub(1).min(sides - 1)
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.roll(words.len())]
    }
}

const SYLLABLES: [&str; 48] = [
    "锦", "绣", "翠", "湖", "东", "兴", "安", "平", "阳", "光", "石", "化", "民", "主", "新", "华", "金", "色", "龙",
    "泉", "凤", "凰", "天", "润", "和", "谐", "盛", "世", "福", "瑞", "祥", "云", "河", "畔", "北", "苑", "嘉", "禾",
    "紫", "荆", "书", "香", "御", "景", "望", "江", "春", "晓",
];
const ENDS: [&str; 8] = ["小区", "花园", "家园", "新村", "公寓", "嘉园", "华庭", "佳园"];
const ROADS: [&str; 10] =
    ["民主路", "中华大街", "青年大街", "新运大街", "胜利路", "武圣路", "卫国路", "文圣路", "荣兴路", "铁西路"];
const PROBLEMS: [[&str; 3]; 24] = [
    ["暖气不热", "入冬以来暖气片一直温的，室温只有十四度", "交了取暖费屋里却冻得穿棉袄，测温不达标"],
    ["停水没有通知", "从早上起龙头没有水，没人通知什么时候来", "又断水了，物业群里没人说话，自来水公司电话占线"],
    ["电梯困人", "电梯停在半空，困了一位老人四十分钟", "这部梯一个月坏了五回，维保单位来了就走"],
    ["底商油烟扰民", "楼下烧烤店没有烟道，油烟灌进卧室", "排烟口正对我家窗户，满屋呛人的味道，不敢开窗"],
    ["夜间施工噪音", "工地打桩到凌晨一点，整栋楼都在震", "半夜轰隆隆响，孩子吓哭，报警也没用"],
    ["下水道堵塞返污水", "化粪池满了没人清，一楼马桶往外冒", "粪水从卫生间反上来，物业说要凑钱疏通"],
    ["路灯不亮", "整条路漆黑，老人摔倒了两次", "路灯坏了七八盏，晚自习的孩子害怕"],
    ["垃圾没人清运", "垃圾箱一个星期没拉，苍蝇乱飞", "垃圾堆成小山，臭水流到路中间"],
    ["物业乱收费", "物业在合同外另收清运费，不交就停门禁", "没有业主大会表决就加收费用，也不开发票"],
    ["楼顶漏水", "屋里下雨像水帘洞，墙皮掉了一地", "防水层坏了，维修基金签字凑不齐用不了"],
    ["停车位被占", "公共车位被装上地锁，回来没处停", "消防通道停满私家车，救护车进不来"],
    ["违章搭建", "顶层住户盖阳光房，楼板被压裂", "有人在公共通道搭了彩钢棚，影响通行"],
    ["拖欠工资", "在工地干了三个月，包工头一分没给", "老板说没回款，从夏天拖到现在，电话不接"],
    ["房产证办不下来", "买房六年税费交清，至今没有证", "开发商跑了，几百户不能落户"],
    ["学校违规补课", "周末在校外收费补课，不去就坐后排", "每科一百二十元，家长敢怒不敢言"],
    ["公交班次太少", "早高峰等了四十分钟才来一趟", "来了也挤不上去，上班天天迟到"],
    ["自来水发黄", "放出来的水有铁锈味，烧开有沉淀", "水龙头流黑渣，怀疑水箱没洗"],
    ["广场舞扰民", "音响放到九点半，高三学生没法复习", "三支队伍斗着放歌，震得窗户响"],
    ["邻居养大型犬", "不拴绳在楼道里叫，咬过人", "大狗天天五点叫，把孩子裤子咬破"],
    ["健身房关门不退钱", "年卡刚续就贴封条，老板失联", "二百多人受骗，预付的钱要不回来"],
    ["路面塌陷", "沥青陷下去一个坑，车胎爆了两台", "脸盆大的坑没有围挡，晚上看不见"],
    ["医保报销", "在外地住院没有备案，问怎么报", "票据送到哪里，比例是多少"],
    ["高空抛物", "高层往下扔酒瓶，差点砸到孩子", "请装朝上的摄像头，已经第三次了"],
    ["河道排污", "暗管往河里放黑水，鱼翻了白肚", "河面发黑发臭，沿岸有厂子偷排"],
];
const OPENINGS: [&str; 6] =
    ["", "尊敬的领导您好，", "我要反映一个问题：", "来电人称，", "多次投诉无果，", "作为业主，我实在没有办法，"];
const CLOSINGS: [&str; 6] = [
    "",
    "请尽快处理。",
    "希望有关部门给个答复。",
    "盼望早日解决，谢谢！",
    "找过社区和物业都没有用。",
    "请问归哪个部门管？",
];

fn estate(number: usize) -> String {
    let (a, b, c) = (number % 48, number / 48 % 48, number / 2304 % 48);
    let third = if number >= 2304 { SYLLABLES[c] } else { "" };
    format!("{}{}{third}{}", SYLLABLES[a], SYLLABLES[b], ENDS[number % ENDS.len()])
}

/// A complaint: hot spots are few estates and problems that return again and again.
fn complaint(dice: &mut Dice) -> (ShownComplaint, Vec<Vec<u8>>) {
    let estate = estate(dice.zipf(20_000));
    let problem = PROBLEMS[dice.zipf(PROBLEMS.len())];
    let (building, unit) = (dice.roll(30) + 1, dice.roll(5) + 1);
    let road = dice.pick(&ROADS);
    let told = [problem[1], problem[2]][dice.roll(2)];
    let home = format!("{estate}{building}号楼{unit}单元");
    let subject = match dice.roll(4) {
        0 => format!("{estate}{}", problem[0]),
        1 => format!("{road}{estate}{}谁来管", problem[0]),
        2 => problem[0].to_owned(),
        _ => format!("{home}{}", problem[0]),
    };
    let days = dice.roll(60) + 1;
    let body = format!(
        "{}我家住{road}{home}，{told}，已经{days}天了，家里有{}岁的老人。{}",
        dice.pick(&OPENINGS),
        60 + dice.roll(35),
        dice.pick(&CLOSINGS)
    );
    let person = dice.roll(3_000_000) as u64;
    let key = person.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().repeat(2);
    (ShownComplaint { subject: Some(subject), body, ..ShownComplaint::default() }, vec![key])
}

fn main() {
    let options = options();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(&options, &format!("sqlite://{}?mode=rwc", folder.path().join("bench.db").display())));
}

async fn measure(options: &Options, url: &str) {
    sqlx::any::install_default_drivers();
    let pool = AnyPoolOptions::new().max_connections(1).connect(url).await.expect("the database opens");
    for sql in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = OFF",
        "CREATE TABLE signature (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
        "CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'trigram', content = '')",
    ] {
        sqlx::query(sql).execute(&pool).await.expect("a statement");
    }
    let vocabulary = Vocabulary::shipped().expect("the shipped words");
    let largest = options.sizes.iter().copied().max().unwrap_or(0);
    let mut index = Index::new(largest);
    let mut frequencies = Frequencies::new(largest);
    let mut dice = Dice(20_171_227);
    let mut held = 0;
    let (mut reading, mut entering, mut searching) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut slowest: Vec<(usize, f64)> = Vec::new();
    for size in &options.sizes {
        while held < *size {
            let many = 10_000.min(*size - held);
            let mut transaction = pool.begin().await.expect("a transaction");
            for _ in 0..many {
                let (shown, person) = complaint(&mut dice);
                let start = Instant::now();
                let signature = Signature::of(&shown, &person, &vocabulary);
                reading += start.elapsed();
                let start = Instant::now();
                index.add(EntryId(held as i64), 0, &signature, &frequencies);
                frequencies.add(&signature);
                entering += start.elapsed();
                sqlx::query("INSERT INTO signature (id, bytes) VALUES ($1, $2)")
                    .bind(held as i64)
                    .bind(signature.encode())
                    .execute(&mut *transaction)
                    .await
                    .expect("an insert");
                if options.search > 0 {
                    let start = Instant::now();
                    sqlx::query("INSERT INTO words (rowid, text) VALUES ($1, $2)")
                        .bind(held as i64)
                        .bind(format!("{}\n{}", shown.subject.unwrap_or_default(), shown.body))
                        .execute(&mut *transaction)
                        .await
                        .expect("an insert");
                    searching += start.elapsed();
                }
                held += 1;
            }
            transaction.commit().await.expect("a commit");
        }
        println!(
            "{held:>9} complaints   index {:.0} MiB ({:.0} bytes each) and 8 MiB of counts   signature {:.0} µs   entering {:.1} µs   \
             entering FTS5 {:.1} µs",
            index.bytes() as f64 / 1_048_576.0,
            index.bytes() as f64 / held as f64,
            reading.as_secs_f64() * 1e6 / held as f64,
            entering.as_secs_f64() * 1e6 / held as f64,
            searching.as_secs_f64() * 1e6 / held as f64
        );
        slowest.push((held, ask(options, &pool, &vocabulary, &index, &frequencies).await));
    }
    if let [(small, at_small), .., (large, at_large)] = slowest.as_slice() {
        println!("p99 of matching at {large} is {:.2} of that at {small}", at_large / at_small);
    }
}

/// Asks and reports; returns the 99th percentile of matching, in milliseconds.
async fn ask(
    options: &Options,
    pool: &AnyPool,
    vocabulary: &Vocabulary,
    index: &Index,
    frequencies: &Frequencies,
) -> f64 {
    // The same questions at every size, other than what was entered.
    let mut dice = Dice(42);
    let asked: Vec<_> = (0..options.queries).map(|_| complaint(&mut dice)).collect();
    let (mut times, mut retrieving, mut same, mut offered) = (Vec::new(), Vec::new(), 0, 0);
    for (shown, person) in &asked {
        let signature = Signature::of(shown, person, vocabulary);
        let start = Instant::now();
        let candidates = index.candidates(&signature, i64::MIN, frequencies);
        retrieving.push(start.elapsed().as_secs_f64() * 1e3);
        let neighbours = neighbours(pool, &candidates).await;
        let matched = decide(&signature, &neighbours, frequencies);
        times.push(start.elapsed().as_secs_f64() * 1e3);
        same += usize::from(matched.same.is_some());
        offered += candidates.len();
    }
    let slow = report("matching", &mut times);
    report("  index alone", &mut retrieving);
    println!(
        "            {same} of {} found their matter; {:.1} offered each",
        asked.len(),
        offered as f64 / asked.len() as f64
    );

    let mut times = Vec::new();
    for (shown, _) in asked.iter().take(options.search) {
        let text: Vec<char> =
            format!("{}{}", shown.subject.as_deref().unwrap_or_default(), shown.body).chars().collect();
        let trigrams: Vec<String> = text
            .windows(3)
            .map(|window| window.iter().collect::<String>())
            .filter(|trigram| trigram.chars().all(char::is_alphanumeric))
            .map(|trigram| format!("\"{trigram}\""))
            .take(30)
            .collect();
        let start = Instant::now();
        sqlx::query("SELECT rowid FROM words WHERE words MATCH $1 ORDER BY rank LIMIT $2")
            .bind(trigrams.join(" OR "))
            .bind(CANDIDATES as i64)
            .fetch_all(pool)
            .await
            .expect("a search");
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    if options.search > 0 {
        report("FTS5 search", &mut times);
    }
    slow
}

async fn neighbours(pool: &AnyPool, candidates: &[EntryId]) -> Vec<Neighbour> {
    if candidates.is_empty() {
        return Vec::new();
    }
    let places: Vec<String> = (1..=candidates.len()).map(|place| format!("${place}")).collect();
    let sql = format!("SELECT id, bytes FROM signature WHERE id IN ({})", places.join(","));
    let query = candidates.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, entry| query.bind(entry.0));
    let rows = query.fetch_all(pool).await.expect("signatures");
    rows.iter()
        .map(|row| {
            let id: i64 = row.get("id");
            let bytes: Vec<u8> = row.get("bytes");
            let signature = Signature::decode(&bytes).expect("a signature");
            Neighbour { entry: EntryId(id), ticket: TicketId(id), signature }
        })
        .collect()
}

/// Reports and returns the 99th percentile.
fn report(name: &str, times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get(((times.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(0.0);
    println!("  {name:<14} p50 {:.3} ms   p99 {:.3} ms   worst {:.3} ms", at(0.5), at(0.99), at(1.0));
    at(0.99)
}
