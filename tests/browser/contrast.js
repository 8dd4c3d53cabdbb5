// Every text that is seen in an element, or on the page: its contrast with what is behind it (WCAG 2, 1.4.3), and how light that is.
(root) => {
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [];
  const walker = document.createTreeWalker(root ?? document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    const isSeen = parent.checkVisibility() && !parent.closest(".unseen, template, script");
    if (!walker.currentNode.textContent.trim() || !isSeen) continue;
    const style = getComputedStyle(parent);
    const colour = luminance(parse(parent instanceof SVGElement ? style.fill : style.color));
    const background = luminance(behind(parent));
    const contrast = (Math.max(colour, background) + 0.05) / (Math.min(colour, background) + 0.05);
    texts.push({ text: walker.currentNode.textContent.trim(), contrast, background });
  }
  return texts;
}
