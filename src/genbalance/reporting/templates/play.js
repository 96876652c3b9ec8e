document.addEventListener("DOMContentLoaded", () => {
  const find = selector => document.querySelector(selector);
  const form = find("#controls"), [image, row, failed, back] = ["#image", "#row", "#failed", "#back"].map(find);
  const sliders = [...form.querySelectorAll("[data-latent]")], rows = [...document.querySelectorAll(".reading li")];
  const {beta, truncation, seed} = form.elements, original = find("#original");
  const moved = new Map();
  let along = sliders[0], asking = false, waiting = false;

  const written = value => value.toFixed(2).replace("-", "−");
  const say = (input, text) => {
    input.labels[0].parentElement.querySelector("output").textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  const betaAt = place => {
    const [low, high] = [beta.dataset.low, beta.dataset.high].map(it => Math.log(it));
    return Math.min(+beta.dataset.high, Math.max(+beta.dataset.low, Math.exp(low + place * (high - low))));
  };
  const chosen = name => form.elements[name] && form.elements[name].value !== "" ? Number(form.elements[name].value) : null;

  const request = () => ({
    seed: Number(seed.value),
    digit: chosen("digit"),
    cluster: chosen("cluster"),
    latents: Object.fromEntries(moved),
    truncation: truncation && Number(truncation.value) !== Number(truncation.dataset.own) ? Number(truncation.value) : null,
    beta: beta && "moved" in beta.dataset ? betaAt(beta.value) : null,
    observed: Boolean(chosen("observed")),
    original: chosen("original"),
    along: Number(along.dataset.latent),
  });

  const mark = () => {
    find("#named").textContent = `latent ${along.dataset.latent}`;
    const place = Math.min(1, Math.max(0, (Number(along.value) + 3) / 6));
    find("#here").style.left = `${100 * (0.5 + 8 * place) / 9}%`;  // from the middle of the first image to that of the last
    for (const it of sliders) it.closest(".slide").classList.toggle("along", it === along);
  };

  const show = answer => {
    const picture = bytes => `data:image/png;base64,${bytes}`;
    image.src = picture(answer.image);
    row.src = picture(answer.row);
    row.alt = `Nine images along latent ${along.dataset.latent}, from −3 to 3`;
    if (original) {
      original.hidden = !answer.original;
      find(".shown").classList.toggle("both", !original.hidden);
      if (answer.original) original.querySelector("img").src = picture(answer.original);
    }
    for (const it of sliders) {
      const value = answer.latents[it.dataset.latent];
      if (!moved.has(it.dataset.latent)) {
        const end = Math.max(3, Math.ceil(Math.abs(value)));
        [it.min, it.max, it.value] = [-end, end, value];
      }
      say(it, written(Number(it.value)));
    }
    mark();
    for (const it of form.querySelectorAll("[name=cluster]"))
      it.parentElement.classList.toggle("drawn", it.value === String(answer.cluster));
    image.alt = "What the model draws";
    if (answer.read) {
      const [name, probability] = answer.read[0], share = `${Math.round(100 * probability)}%`;
      find("#said").textContent = `read as ${name}, ${share}`;
      image.alt = `What the model draws, read as ${name} with ${share}`;
      const inOrder = [...answer.read].sort(([a], [b]) => a.localeCompare(b, "en", {numeric: true}));
      rows.forEach((it, place) => {
        const [label, share] = inOrder[place];
        it.children[0].textContent = label;
        it.children[1].firstChild.style.width = share < 0.005 ? 0 : `${100 * share}%`;
        it.children[2].textContent = share.toFixed(2);
        it.classList.toggle("first", label === name);
      });
    }
  };

  // one request at a time; what is changed meanwhile is asked for next
  const ask = async () => {
    back.disabled = !moved.size;
    waiting = true;
    if (asking) return;
    asking = true;
    delete document.body.dataset.idle;
    while (waiting) {
      waiting = false;
      try {
        const response = await fetch("/image", {
          method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(request()),
        });
        if (response.ok) show(await response.json());
        failed.textContent = response.ok ? "" : await response.text();
      } catch {
        failed.textContent = "The server does not answer: has genbalance play ended?";
      }
      failed.hidden = !failed.textContent;
    }
    asking = false;
    document.body.dataset.idle = "";
  };

  const restart = () => { moved.clear(); ask(); };
  const draw = () => {
    seed.value = Math.floor(Math.random() * 100000);
    if (form.elements.original) form.elements.original.value = "";
    restart();
  };
  const onlyOfClass = () => {
    for (const it of form.querySelectorAll("[data-classes]")) {
      const own = it.dataset.classes.split(" ").includes(String(chosen("digit") ?? 0));
      it.parentElement.hidden = it.disabled = !own;
      if (!own && it.checked) form.elements.cluster.value = "";
    }
  };

  form.addEventListener("input", ({target}) => {
    if (target === seed) {
      if (!seed.value || !seed.checkValidity()) return;
      if (form.elements.original) form.elements.original.value = "";
      return restart();
    }
    if (target.dataset.latent) {
      moved.set(target.dataset.latent, Number(target.value));
      along = target;
      say(target, written(Number(target.value)));
      mark();
    }
    if (target === beta) beta.dataset.moved = "";
    if (target === truncation || target === beta) tell();
    if (target.name === "digit") onlyOfClass();
    target.name === "original" ? restart() : ask();
  });
  const tell = () => {
    if (truncation) { say(truncation, written(Number(truncation.value))); }
    if (beta) { say(beta, Number((beta.dataset.moved === "" ? betaAt(beta.value) : +beta.dataset.own).toPrecision(3)).toString()); }
  };
  for (const it of sliders) {
    const choose = () => { if (along !== it) { along = it; ask(); } };
    it.addEventListener("focus", choose);
    it.addEventListener("pointerenter", event => { if (!event.buttons) choose(); });
  }
  form.addEventListener("submit", event => event.preventDefault());
  find("#new").addEventListener("click", draw);
  back.addEventListener("click", restart);
  if (beta) {
    const [low, high, own] = ["low", "high", "own"].map(it => Math.log(beta.dataset[it]));
    beta.value = (own - low) / (high - low);
  }
  tell();
  onlyOfClass();
  ask();
});
