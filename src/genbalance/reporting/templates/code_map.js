document.addEventListener("DOMContentLoaded", () => {
  for (const figure of document.querySelectorAll(".codes")) {
    const map = figure.querySelector(".map"), svg = map.querySelector("svg"), ring = map.querySelector(".choice");
    const places = map.dataset.places.trim().split(" ").map(it => it.split(",").map(Number));
    const labels = JSON.parse(map.dataset.labels);
    const sheets = [...figure.querySelectorAll(".chosen div")].map(it => [it.querySelector("img"), it.querySelector("canvas")]);
    const said = figure.querySelector("[role=status]");
    let chosen = 0;
    const show = place => {
      chosen = place;
      const [x, y] = places[place];
      ring.setAttribute("cx", x);
      ring.setAttribute("cy", y);
      const [number, count] = [place + 1, places.length].map(it => it.toLocaleString("en"));
      said.textContent = `Image ${number} of ${count}` + (labels.length ? `: class ${labels[place]}` : "");
      figure.dataset.place = place;
      for (const [sheet, canvas] of sheets) {
        const {width, height} = canvas;
        const across = sheet.naturalWidth / width;
        const pen = canvas.getContext("2d");
        pen.drawImage(sheet, place % across * width, Math.floor(place / across) * height, width, height, 0, 0, width, height);
      }
    };
    const nearest = (x, y, far = (dx, dy) => Math.hypot(dx, dy)) => {
      let best = -1, least = Infinity;
      places.forEach(([a, b], place) => {
        const at = far(a - x, b - y);
        if (at < least) [best, least] = [place, at];
      });
      return best;
    };
    svg.addEventListener("click", event => {
      const {x, y} = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      map.focus({preventScroll: true});
      show(nearest(x, y));
    });
    const arrows = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    map.addEventListener("keydown", event => {
      const way = arrows[event.key];
      if (!way || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      // the nearest code within 45 degrees of the arrow
      const next = nearest(...places[chosen], (dx, dy) => {
        const along = dx * way[0] + dy * way[1], across = Math.abs(dx * way[1] + dy * way[0]);
        return along > 0 && across <= along ? Math.hypot(dx, dy) : Infinity;
      });
      if (next >= 0) show(next);
    });
    map.tabIndex = 0;
    map.setAttribute("role", "application");
    map.setAttribute("aria-label", map.dataset.about);
    Promise.all(sheets.map(([sheet]) => sheet.decode())).then(() => show(0));
  }
});
