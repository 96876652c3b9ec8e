"""Figures over classes."""

from collections import Counter
from typing import TYPE_CHECKING

from genbalance.reporting.results import Results
from genbalance.reporting.style import Plot, Theme, legend
from genbalance.reporting.text import number, share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CROWDED = 12  # more classes than this have no room for a name each, nor for counts in the confusion matrix
SIZE = (4.7, 4.1)


def class_histogram(results: Results) -> Plot:
    """The classes of the samples, as the reference classifier predicts them, next to the real shares."""
    gan, vae = results.tables["evaluate_gan/classes"], results.tables["evaluate_vae/classes"]
    labels = gan["class"]
    spans = {name: (min(table["generated"]), max(table["generated"])) for name, table in (("GAN", gan), ("VAE", vae))}

    def draw(figure: "Figure", theme: Theme) -> None:
        panel = figure.subplots()
        panel.bar([c - 0.2 for c in labels], gan["generated"], 0.38, color=theme.gan, label="GAN")
        panel.bar([c + 0.2 for c in labels], vae["generated"], 0.38, color=theme.vae, label="VAE")
        panel.hlines(gan["real"], [c - 0.45 for c in labels], [c + 0.45 for c in labels], color=theme.ink, lw=1.8,
                     label="real test images")  # fmt: skip
        panel.set(xlabel="predicted class", ylabel="share of the images", xticks=ticks(len(labels)))
        panel.grid(axis="x", visible=False)
        legend(panel)

    return Plot(
        "class_histogram",
        "Classes of the samples",
        "Bar chart of the share of each class. "
        + "; ".join(f"{name}: from {share(low)} to {share(high)}" for name, (low, high) in spans.items())
        + f"; real images: from {share(min(gan['real']))} to {share(max(gan['real']))}.",
        "A class far below its line is generated rarely; at zero it is a dropped mode.",
        draw,
        SIZE,
    )


def class_distances(results: Results) -> Plot:
    """How far each class's samples are from its test images, next to what training images get."""
    tables = {model: results.tables[f"evaluate_{model}/classes"] for model in ("gan", "vae")}
    worst = {model: max(zip(table["fd"], table["class"], strict=True)) for model, table in tables.items()}

    def draw(figure: "Figure", theme: Theme) -> None:
        panel = figure.subplots()
        for (model, table), shift, ink in zip(tables.items(), (-0.2, 0.2), (theme.gan, theme.vae), strict=True):
            middle = [label + shift for label in table["class"]]
            panel.bar(middle, table["fd"], 0.38, color=ink, label=model.upper())
            panel.hlines(table["fd_floor"], [x - 0.19 for x in middle], [x + 0.19 for x in middle], color=theme.ink,
                         lw=1.8, label="floor: real images" if model == "vae" else "")  # fmt: skip
        panel.set(xlabel="predicted class", ylabel="Fréchet distance within the class",
                  xticks=ticks(len(tables["gan"]["class"])))  # fmt: skip
        panel.grid(axis="x", visible=False)
        legend(panel)

    return Plot(
        "class_distances",
        "Fréchet distance by class",
        "Bar chart of the Fréchet distance of each class's samples to its test images. "
        + "; ".join(f"{m.upper()}: at most {number(fd)}, for class {number(label)}" for m, (fd, label) in worst.items())
        + f"; real images: at most {number(max(fd for table in tables.values() for fd in table['fd_floor']))}.",
        "Lines: what real training images get. Few images of a class raise its bar and its line alike.",
        draw,
        SIZE,
    )


def confusion(results: Results) -> Plot:
    """Rows: what the image is. Columns: what the reference classifier predicts."""
    table, count = results.tables["train_classifier/confusion"], results.classes
    pairs = list(zip(table["actual"], table["predicted"], strict=True))
    cells = Counter(pairs)
    counts = [[cells[actual, predicted] for predicted in range(count)] for actual in range(count)]
    wrong = sum(actual != predicted for actual, predicted in pairs)

    def draw(figure: "Figure", theme: Theme) -> None:
        from matplotlib.colors import LinearSegmentedColormap, PowerNorm

        panel = figure.subplots()
        shares = [[n / max(1, sum(row)) for n in row] for row in counts]
        # The square root lifts the few errors out of the paper, next to a diagonal near one.
        image = panel.imshow(shares, LinearSegmentedColormap.from_list("ramp", theme.ramp), PowerNorm(0.5, 0, 1))
        for row, column in ((r, c) for r in range(count) for c in range(count) if count <= CROWDED):
            if counts[row][column]:
                panel.text(column, row, str(counts[row][column]), ha="center", va="center", fontsize=8,
                           color=theme.paper if shares[row][column] > 0.3 else theme.ink)  # fmt: skip
        panel.set(xlabel="predicted class", ylabel="actual class", xticks=ticks(count), yticks=ticks(count))
        panel.grid(visible=False)
        panel.tick_params(length=0)
        bar = figure.colorbar(
            image, ax=panel, shrink=0.85, label="share of the actual class", ticks=[0, 0.01, 0.1, 0.5, 1]
        )
        bar.ax.set_yticklabels(["0", "0.01", "0.1", "0.5", "1"])
        bar.outline.set_visible(False)

    return Plot(
        "confusion",
        "Reference classifier: confusion matrix",
        f"Confusion matrix of the classifier on {number(len(pairs))} test images of {count} classes: "
        f"{number(wrong)} of them are misclassified.",
        "Every metric of the samples uses this classifier, so its errors limit what can be measured.",
        draw,
        SIZE,
    )


def ticks(count: int) -> range:
    """The classes that an axis names: all, or every fifth."""
    return range(0, count, 1 if count <= CROWDED else 5)
