"""Write the tables of README.md, README.zh.md and docs/*.md from benchmarks/results/*.json.

A page marks where a table stands::

    <!-- table: NAME -->
    <!-- end -->

Everything between the two lines is written here. To add a table: one function from the results to Markdown
(``results["NAME"]`` is what ``record`` wrote), and one line in ``TABLES``. A result that is not there yet
makes the table say so.

``python benchmarks/tables.py`` writes. With ``--check`` it only looks, and exits 1 if a page is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from material import learn_tables, nn_tables, search_tables
from material.markdown import NotMeasured, Results, markdown, number

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "README.zh.md", "docs/*.md")
MARKED = re.compile(r"^(?P<open><!-- table: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(?P<close>^<!-- end -->$)", re.M | re.S)


def load(folder: Path = RESULTS) -> Results:
    """Read every result in ``folder``."""
    paths = sorted(folder.glob("*.json"))
    return Results({path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths})


# --- the tables ----------------------------------------------------------------------------------


def questions(results: Results) -> str:
    """List what was asked, by which script, when and on which machine."""
    if not results:
        raise NotMeasured("all")
    rows = []
    for name, entry in sorted(results.items()):
        box = entry["machine"]
        where = f"{box['cpu']}, {box['cores']} cores, {box['memory_gib']:.0f} GiB"
        rows.append((f"`{name}.py`", entry["question"], where, entry["date"]))
    return markdown(("script", "question", "machine", "date"), rows)


def fixed_matrices(results: Results) -> str:
    """Compare the exact recall of one weight matrix under each rule, at rising loads."""
    rows = results["fixed_matrices"]["result"]["rules"]
    loads = list(next(iter(rows.values()))["exact"])
    return markdown(
        ("patterns a neuron", *loads, "bits/synapse"),
        (
            (
                name,
                *(f"{rate:.2f}" for rate in row["exact"].values()),
                f"{row['bits_a_synapse']:.2f}" if "bits_a_synapse" in row else "–",
            )
            for name, row in rows.items()
        ),
    )


def projection_batches(results: Results) -> str:
    """List the largest difference of a projection weight between batchings and orders."""
    found = results["fixed_matrices"]["result"]["projection_batches"]
    rows = [(name, number(worst, 2)) for name, worst in found.items()]
    return markdown(("written in a random order", "largest difference of a weight"), rows)


def article(results: Results) -> str:
    """List what each rule does to the weights of the article's program, and whether it stores patterns."""
    found = results["article"]["result"]
    rows = []
    for run, kept in zip(found["runs"], found["storage"], strict=True):
        shares = (kept["entries_once"], kept["once"], kept["often"])
        rows.append((f"`{run['rule']}`", number(run["largest_change"]), *(f"{share:.3f}" for share in shares)))
    head = ("rule", "largest change of a weight", "covered entries right", "patterns right", "... written 10 times")
    return markdown(head, rows)


def article_limits(results: Results) -> str:
    """List what the article's rule does, measured."""
    limits = results["article"]["result"]["limits"]
    growth = sorted(limits["growth"].items(), key=lambda item: int(item[0]))
    rows = [
        ("antisymmetric: the largest sum of `w_ij` and `w_ji` after random activities", number(limits["asymmetry"])),
        ("silent when both fire: the largest change of a weight", number(limits["both_fire"])),
        *((f"unbounded: the weight after {int(n):,} writes of one pair", number(w)) for n, w in growth),
        ("the rank of all weights after writing 10 random patterns", str(limits["rank"])),
    ]
    return markdown(("what it does", "measured"), rows)


def fragments(results: Results) -> str:
    """List which images come back from fragments, by kind, share and method."""
    kinds = results["fragments"]["result"]["completion"]
    methods = ("mossy, known=", "masked NumPy search", "cosine", "mean image")
    head = ["right image", *(f"{kind}, {share}" for kind in kinds for share in ("half", "quarter"))]
    rows = [
        [
            name,
            *(f"{kind['answers'][share][name]['right']:.4f}" for kind in kinds.values() for share in kind["answers"]),
        ]
        for name in methods
    ]
    return markdown(head, rows)


def exact_search(results: Results) -> str:
    """List how often recall and exact search differ, by images and similarity."""
    rows = []
    for images, found in results["exact_search"]["result"].items():
        for similarity, kinds in found["similarities"].items():
            sums = [
                sum(one[part] for one in kinds.values())
                for part in ("cues", "another_memory", "another_pattern", "ties")
            ]
            rows.append((f"{images}, {similarity}", f"{found['stored']:,}", *(f"{value:,}" for value in sums)))
    head = ("images, similarity", "stored", "cues", "another memory", "another pattern", "cues with ties")
    return markdown(head, rows)


def exact_search_right(results: Results) -> str:
    """List for each kind of cue how often the right image is found, by similarity, with the most images."""
    found = max(results["exact_search"]["result"].values(), key=lambda of: of["stored"])["similarities"]
    kinds = next(iter(found.values()))
    rows = [(kind, *(f"{of[kind]['right_image'] / of[kind]['cues']:.3f}" for of in found.values())) for kind in kinds]
    return markdown(("cue", *found), rows)


def bit_exact(results: Results) -> str:
    """List the right images and those exact to the bit, for each known half."""
    halves = results["bit_exact"]["result"]["halves"]
    ways = sorted(next(iter(halves.values())))
    rows = [
        (way, *(f"{half[way]['right_image']:.4f} / {half[way]['bit_exact']:.4f}" for half in halves.values()))
        for way in ways
    ]
    return markdown(("right image / bit-exact", *(f"{half} known" for half in halves)), rows)


def bit_exact_beta(results: Results) -> str:
    """List the right images and those exact to the bit, over β."""
    sweep = results["bit_exact"]["result"]["sweep"]
    rows = [
        (
            f"β = {float(beta):,.0f}",
            *(f"{of[beta]['right_image']:.4f} / {of[beta]['bit_exact']:.4f}" for of in sweep.values()),
        )
        for beta in sorted(next(iter(sweep.values())), key=float)
    ]
    return markdown(("right image / bit-exact", *sweep), rows)


def benna_fusi(results: Results) -> str:
    """List how the Benna–Fusi law forgets."""
    found = results["benna_fusi"]["result"]
    lives = sorted(found["lifetimes"].items(), key=lambda item: int(item[0]))
    rows = [
        (f"lifetime, N = {int(n):,}, steps", *(f"{life[way]:,}" for way in ("mossy", "stepped", "expected")))
        for n, life in lives
    ]
    least = min(of["least"] for of in found["r_root_t"].values())
    most = max(of["most"] for of in found["r_root_t"].values())
    rows.append(("r(t)·√t, 100 ≤ t ≤ 1000, m = 6 … 12", f"{least:.3f} … {most:.3f}", "–", ".947 ± .01"))
    return markdown(("", "mossy", "the chain, stepped", "expected"), rows)


def _points(line: Mapping[str, Any]) -> str:
    """Write a paired difference of shares in percentage points, with its standard error."""
    return f"{100 * line['difference']:+.2f} ± {100 * line['standard_error']:.2f}"


def ages(results: Results) -> str:
    """List what the default prior changes, by the age of the memory that is asked for."""
    lines = results["ages"]["result"]["by_age"]
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for line in lines:
        found.setdefault(f"{line['patterns']}, {line['similarity']}", {})[line["age"]] = line
    every = list(next(iter(found.values())))
    rows = [
        (name, f"{of['all']['without']:.4f}", f"{of['all']['with_prior']:.4f}", *(_points(of[age]) for age in every))
        for name, of in found.items()
    ]
    head = ("patterns", "found, no prior", "found, prior", *(f"{age}, points" for age in every))
    return markdown(head, rows)


def ages_delta(results: Results) -> str:
    """List what each δ changes."""
    found: dict[str, dict[float, Mapping[str, Any]]] = {}
    for line in results["ages"]["result"]["sweep"]:
        found.setdefault(f"{line['patterns']}, {line['similarity']}", {})[line["delta"]] = line
    deltas = list(next(iter(found.values())))
    rows = [(name, *(_points(of[delta]) for delta in deltas)) for name, of in found.items()]
    return markdown(("points", *(f"δ = {delta:g}" for delta in deltas)), rows)


def recall_speed(results: Results) -> str:
    """List the speed of recall beside the plain product."""
    found = results["recall_speed"]["result"]
    rows = []
    for similarity in found["one thread"]["batch"]:
        for way in found["one thread"]["one"][similarity]:
            if "above_product_us" not in found["one thread"]["one"][similarity][way]:
                continue
            cells = [
                cell
                for run in found.values()
                for cell in (
                    f"{run['batch'][similarity][way]['throughput_wall']:.2f}",
                    f"{run['one'][similarity][way]['above_product_us']:.0f}",
                )
            ]
            rows.append((f"{similarity}, {way}", *cells))
    head = [f"{what}, {threads}" for threads in found for what in ("throughput", "one cue, µs above")]
    return markdown(("", *head), rows)


def footprint(results: Results) -> str:
    """List the memory held, beside the patterns."""
    rows = []
    for name, of in results["footprint"]["result"]["held"].items():
        whole, parts = of["one call"], of["100 calls"]
        cells = (whole["stats"], whole["grown"], whole["grown_after_recall"], parts["stats"], parts["grown"])
        rows.append((name, f"{of['n']:,} × {of['d']}", *(f"{cell:.2f}" for cell in cells)))
    head = ("", "patterns", "stats", "grown", "after a recall", "in 100 calls: stats", "grown")
    return markdown(head, rows)


def footprint_start(results: Results) -> str:
    """List the time to start, and the size of an installation."""
    found = results["footprint"]["result"]
    start, disk = found["start"], found["installed"]
    rows = [
        (f"`{name}`, new process", f"{1000 * start[name]['seconds']:.0f} ms")
        for name in ("import numpy", "import mossy")
    ]
    rows += [
        (f"{part}, 1,000 × 256, {similarity}", f"{1000 * start[similarity][part]:.2f} ms")
        for similarity in ("euclidean", "manhattan")
        for part in ("first store", "first recall", "second recall")
    ]
    loaded = any(of["compiler_loaded"] for of in start.values() if isinstance(of, dict))
    rows.append(("compiler loaded by then", "yes" if loaded else "no"))
    size = f"{disk['megabytes']:.0f} MB" if disk["installed"] else "not measured: no packages could be installed"
    return markdown(("", "measured"), [*rows, ("installed, with NumPy and Numba, no extras", size)])


def _universal(results: Results, n: str, kind: str) -> str:
    spoilings = {
        name: ways for name, ways in results["universal_hopfield"]["result"]["N"][n].items() if name.startswith(kind)
    }
    order = sorted(spoilings, key=lambda name: float(name.split()[-1]))
    rows = [
        (way, *(f"{spoilings[name][way]['right']:.2f} / {spoilings[name][way]['exact']:.2f}" for name in order))
        for way, _ in sorted(next(iter(spoilings.values())).items(), key=_mossy_first)
    ]
    return markdown((f"N = {int(n):,}: right / bit-exact", *order), rows)


def universal_noise(results: Results) -> str:
    """List the Universal Hopfield protocol under noise."""
    return "\n\n".join(_universal(results, n, "noise") for n in ("100", "1000"))


def universal_masks(results: Results) -> str:
    """List the Universal Hopfield protocol under masks."""
    return "\n\n".join(_universal(results, n, "masked") for n in ("100", "1000"))


def _by_numbers(item: tuple[str, Any]) -> list[float]:
    return [float(part) for part in re.findall(r"[\d.]+", item[0])]


def _mossy_first(item: tuple[str, Any]) -> tuple[bool, str]:
    return not item[0].startswith("mossy"), item[0]


def _peers(results: Results, task: str, extra: Mapping[str, str]) -> str:
    found = results["peers"]["result"]
    rows = [
        (
            f"{setting}: {way}",
            f"{figures['right']:.2f}",
            *(f"{figures[part]:.2f}" for part in extra),
            number(figures["write_us"]),
            number(figures["recall_us"]),
            number(figures["bytes"] / 1000),
        )
        for setting, ways in sorted(found[task].items(), key=_by_numbers)
        for way, figures in sorted(ways.items(), key=_mossy_first)
    ]
    text = markdown(("", "right", *extra.values(), "write, µs", "recall, µs", "kB"), rows)
    missing = ", ".join(found["not_installed"])
    return f"{text}\n\nNot installed, so not measured: {missing}." if missing else text


def peers_random(results: Results) -> str:
    """List the networks of neurons on random patterns."""
    return _peers(results, "random", {})


def peers_images(results: Results) -> str:
    """List the networks of neurons on half-covered images."""
    return _peers(results, "images", {})


def peers_pairs(results: Results) -> str:
    """List the hash table of hypervectors."""
    return _peers(results, "pairs", {"right_with_noise": "10 % of the key flipped"})


def peers_vectors(results: Results) -> str:
    """List the memories of word vectors."""
    return _peers(results, "vectors", {"as_cosine": "answers as cosine"})


def durable(results: Results) -> str:
    """List what a durable memory must reach, and what it reaches."""
    found, kill, damage = (results[name]["result"] for name in ("durable", "kill", "damage"))
    texts, single, opened = found["batch"]["text"], found["single"][-1], found["reopen"]
    n = f"{opened['n']:,} × {opened['d']}"
    sizes = {d: of for d, of in found["size"].items() if isinstance(of, dict)}
    file, both = (max(sizes, key=lambda d: sizes[d][part]) for part in ("file", "with_sidecar"))
    warm, without = opened["with the sidecar, warm"], opened["without, warm"]
    lost = sum(kill["found"].values())
    noticed = damage["cases"] - damage["in_all"]["wrong"] - damage["in_all"]["crash"]
    rows = [
        ("batch store, items/s", "≥ 50,000", f"{texts['mossy']['items_per_s']:,.0f}"),
        ("... of raw SQLite that is given bytes", "", f"{texts['of_raw']:.2f}"),
        ("... of raw SQLite that is given the same arrays", "≥ .7", f"{texts['of_raw_from_arrays']:.2f}"),
        ("single store, of raw SQLite at synchronous=FULL", "≥ .7", f"{single['of_raw_full']:.2f}"),
        (f"first recall of {n}, with the sidecar", "≤ 2 s", f"{warm['first_recall']:.2f} s"),
        (f"first recall of {n}, without", "≤ 12 s", f"{without['first_recall']:.2f} s"),
        ("memory / vectors", "≤ 1.4", f"{max(warm['grown'], without['grown']):.2f}"),
        (f"file / (vectors + payloads), the most (d = {file})", "≤ 1.3", f"{sizes[file]['file']:.2f}"),
        (f"... with the sidecar (d = {both})", "≤ 2.4", f"{sizes[both]['with_sidecar']:.2f}"),
        (f"`kill -9`, {kill['rounds']} rounds: lost, back, torn, not clean", "0", f"{lost}"),
        (f"{damage['cases']:,} flips and cuts: noticed or harmless", "all", f"{noticed:,}"),
    ]
    return markdown(("", "wanted", "measured"), rows)


def durable_store(results: Results) -> str:
    """List the rates of a batch and of single stores, beside raw SQLite and others."""
    found = results["durable"]["result"]
    rows = []
    for name, of in sorted(found["batch"]["text"].items(), key=_mossy_first):
        if isinstance(of, dict):
            cells = (f"{found['batch'][kind][name]['items_per_s']:,.0f}" for kind in ("text", "dict"))
            rows.append((name, *cells))
    batch = markdown(("one commit of all, items/s", "payload a text", "payload a dict"), rows)
    rows = []
    empty, full = found["single"]
    for name in sorted(full, key=lambda name: _mossy_first((name, None))):
        if isinstance(full[name], dict):
            cells = ((f"{of[name]['items_per_s']:,.0f}", number(of[name]["cpu_us"])) for of in (empty, full))
            rows.append((name, *(cell for pair in cells for cell in pair)))
    head = [f"{what}, {of['held']:,} held" for of in (empty, full) for what in ("items/s", "CPU µs")]
    single = markdown(("a commit each", *head), rows)
    missing = ", ".join(found["not_installed"])
    return f"{batch}\n\n{single}" + (f"\n\nNot installed, so not measured: {missing}." if missing else "")


def durable_reopen(results: Results) -> str:
    """List the seconds and the memory that opening takes."""
    found = results["durable"]["result"]["reopen"]
    rows = [
        (
            name,
            f"{of['open']:.2f}" if "open" in of else "–",
            f"{of.get('first_recall', of.get('seconds')):.2f}",
            *(f"{of[part]:.2f}" if part in of else "–" for part in ("cpu", "grown", "peak", "stats")),
        )
        for name, of in found.items()
        if isinstance(of, dict)
    ]
    head = (f"{found['n']:,} × {found['d']}", "open, s", "first recall, s", "CPU, s", "grown", "peak", "stats")
    return markdown(head, rows)


def durable_size(results: Results) -> str:
    """List the sizes of the files."""
    sizes = {d: of for d, of in results["durable"]["result"]["size"].items() if isinstance(of, dict)}
    order = sorted(sizes, key=int)
    rows = [
        (name, *(f"{sizes[d][part]:.2f}" for d in order))
        for name, part in (("file", "file"), ("file and sidecar", "with_sidecar"))
    ]
    return markdown(("/ (vectors + payloads)", *(f"d = {d}" for d in order)), rows)


def durable_forget(results: Results) -> str:
    """List the seconds of forgetting, of a recall on disk, and of the writing of reinforcement."""
    found = results["durable"]["result"]
    rows = [
        (f"forget {k} of {of['n']:,}", f"{1000 * of[k]['seconds']:.1f} ms")
        for of in found["forget"]
        for k in ["1", "100"]
    ]
    for of in found["recall"]:
        rows += [
            (f"recall of one cue of {of['n']:,}, {way}: above this process", f"{us:.0f} µs")
            for way, us in of["above_us"].items()
        ]
        rows += [
            (f"flush of {flush['memories']:,} reinforced of {of['n']:,}", f"{flush['items_per_s']:,.0f} a second")
            for flush in of["flush"].values()
        ]
    return markdown(("", "measured"), rows)


def kill(results: Results) -> str:
    """List the calls that were acknowledged and killed, and what was found."""
    found = results["kill"]["result"]
    kinds = [*found["acknowledged"], *sorted(set(found["killed_in"]) - set(found["acknowledged"]))]
    rows = [(kind, f"{found['acknowledged'].get(kind, 0):,}", found["killed_in"].get(kind, 0)) for kind in kinds]
    calls = markdown((f"{found['rounds']} rounds", "acknowledged", "killed in"), rows)
    names = {name: name.replace("_", " ") for name in found["found"]}
    return f"{calls}\n\n{markdown(('found', 'times'), ((names[name], n) for name, n in found['found'].items()))}"


def privacy(results: Results, images: str) -> str:
    """List what an attacker gets from each file: the share of right images, and the error of the best attack."""
    found = results["privacy"]["result"][images]
    loads = ["one image", *sorted((load for load in found["stored"] if load != "one image"), key=float)]
    rows = [
        (name, *(f"{of[load]['right']:.2f} ({of[load]['error']:.2f})" if load in of else "" for load in loads))
        for name, of in found["memories"].items()
    ]
    return markdown(
        (images, *(load if load == "one image" else f"{found['stored'][load]} images" for load in loads)), rows
    )


def damage(results: Results) -> str:
    """List what came of torn and altered files."""
    found = results["damage"]["result"]
    outcomes = ("detected", "detected by verify alone", "harmless", "wrong", "crash")
    rows = [
        (f"{what}: {kind}", *(of[outcome] for outcome in outcomes))
        for what, kinds in found["by_file"].items()
        for kind, of in kinds.items()
    ]
    rows.append(("in all", *(found["in_all"][outcome] for outcome in outcomes)))
    altered = markdown((f"{found['cases']:,} cases", *outcomes), rows)
    repair = found["repair"]
    rescued = [
        ("memories rescued whole, mean", f"{repair['rescued_mean']:.3f}"),
        ("memories rescued whole, median", f"{repair['rescued_median']:.3f}"),
        ("cases in which nothing was", sum(repair["refused"].values())),
        ("cases in which one is wrong, unsaid", repair["wrong"]),
    ]
    head = (f"`repair` of {repair['cases']:,} cases", "measured")
    return f"{altered}\n\n{markdown(head, rescued)}"


TABLES: dict[str, Callable[[Results], str]] = {
    "exact_search": exact_search,
    "exact_search_right": exact_search_right,
    "bit_exact": bit_exact,
    "bit_exact_beta": bit_exact_beta,
    "benna_fusi": benna_fusi,
    "ages": ages,
    "ages_delta": ages_delta,
    "recall_speed": recall_speed,
    "footprint": footprint,
    "footprint_start": footprint_start,
    "universal_noise": universal_noise,
    "universal_masks": universal_masks,
    "peers_random": peers_random,
    "peers_images": peers_images,
    "peers_pairs": peers_pairs,
    "peers_vectors": peers_vectors,
    "article": article,
    "article_limits": article_limits,
    "fixed_matrices": fixed_matrices,
    "projection_batches": projection_batches,
    "fragments": fragments,
    "durable": durable,
    "durable_store": durable_store,
    "durable_reopen": durable_reopen,
    "durable_size": durable_size,
    "durable_forget": durable_forget,
    "kill": kill,
    "damage": damage,
    "privacy_digits": lambda results: privacy(results, "digits"),
    "privacy_mnist": lambda results: privacy(results, "MNIST"),
    "cache": search_tables.cache,
    "cache_time": search_tables.cache_time,
    "codes": search_tables.codes,
    "cost": search_tables.cost,
    "fading": search_tables.fading,
    "links": search_tables.links,
    "search_clustered": lambda results: search_tables.search(results, "clustered"),
    "search_real": lambda results: search_tables.search(results, "real"),
    "turnover": search_tables.turnover,
    **{f"learn_{name}": getattr(learn_tables, name) for name in learn_tables.__all__},
    **{f"nn_{name}": getattr(nn_tables, name) for name in nn_tables.__all__},
    "questions": questions,
}

# -------------------------------------------------------------------------------------------------


def table(name: str, results: Results, tables: Mapping[str, Callable[[Results], str]] = TABLES) -> str:
    """Return the Markdown of one table, or a line that says what is not measured yet."""
    if name not in tables:
        raise SystemExit(f"table: {name!r} is on a page; TABLES holds {', '.join(sorted(tables))}.")
    try:
        return tables[name](results)
    except NotMeasured as missing:
        script = "" if str(missing) == "all" else f" (`benchmarks/{missing}.py`)"
        return f"*Not measured yet{script}.*"


def render(text: str, results: Results, tables: Mapping[str, Callable[[Results], str]] = TABLES) -> str:
    """Return a page's text with each of its tables written anew."""
    found = list(MARKED.finditer(text))
    if len(found) != text.count("<!-- table:") or any("<!-- table:" in hit["body"] for hit in found):
        raise SystemExit("table: '<!-- table: NAME -->' and '<!-- end -->' each need a line of their own.")

    def written(hit: re.Match[str]) -> str:
        return f"{hit['open']}\n{table(hit['name'], results, tables)}\n\n{hit['close']}"

    return MARKED.sub(written, text)


def outdated(root: Path, results: Results, *, write: bool) -> list[str]:
    """Return the pages whose tables differ from the results; with ``write``, bring them up to date."""
    stale = []
    for path in sorted(path for pattern in PAGES for path in root.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        fresh = render(text, results)
        if fresh != text:
            stale.append(path.relative_to(root).as_posix())
            if write:
                path.write_text(fresh, encoding="utf-8")
    return stale


def main(arguments: list[str]) -> int:
    """Write the tables, or with ``--check`` only look; return the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python benchmarks/tables.py [--check]", file=sys.stderr)
        return 2
    check = bool(arguments)
    stale = outdated(ROOT, load(), write=not check)
    for page in stale:
        print(f"{page}: out of date; run: make tables" if check else f"wrote {page}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
