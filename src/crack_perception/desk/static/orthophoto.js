// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// Orthophotos under the plan: a small picture of the whole surface, and its tiles where they can be told apart.
//
// Coordinates are those of the plan: metres on the surface, y downwards.

const MOST_TILES = 24; // in memory and in one picture; a tile of 1024 px takes 4 MB

export class Orthophotos {
  // changed(): a picture has arrived.
  constructor(changed) {
    this.changed = changed;
    this.pictures = new Map(); // address -> Image, the last used one at the end
    this.drawnTiles = 0;
  }

  // Draw those of a surface.
  //
  // scale: pixels of the screen per metre; low, high: corners of what the screen shows.
  draw(context, orthophotos, opacity, scale, low, high) {
    this.drawnTiles = 0;
    let drawn = 0;
    context.save();
    context.globalAlpha = opacity;
    for (const orthophoto of orthophotos) {
      const seen = this.tilesInSight(orthophoto, scale, low, high);
      const arrived = seen.map(([row, column, address]) => [row, column, this.picture(address)]);
      // Where opaque tiles cover the screen, the small picture is not seen; beneath others it would show through twice.
      const isWhole = arrived.length > 0 && arrived.every(([, , picture]) => picture.complete && picture.naturalWidth);
      if (!isWhole) drawn += this.drawOverview(context, orthophoto);
      else for (const tile of arrived) this.drawTile(context, orthophoto, ...tile);
      drawn += isWhole ? arrived.length : 0;
      this.drawnTiles += isWhole ? arrived.length : 0;
    }
    context.restore();
    return drawn;
  }

  drawOverview(context, { overview, overview_corners: corners }) {
    const picture = this.picture(overview);
    if (!picture.complete || !picture.naturalWidth) return 0;
    const [[u, v], right, down] = corners;
    context.save();
    context.transform(
      (right[0] - u) / picture.naturalWidth, -(right[1] - v) / picture.naturalWidth,
      (down[0] - u) / picture.naturalHeight, -(down[1] - v) / picture.naturalHeight, u, -v,
    );
    context.drawImage(picture, 0, 0);
    context.restore();
    return 1;
  }

  drawTile(context, { corner, right, down, tile_px: side }, row, column, picture) {
    context.save();
    context.transform(right[0], -right[1], down[0], -down[1], corner[0], -corner[1]);
    context.drawImage(picture, column * side, row * side);
    context.restore();
  }

  // Tiles on the screen; none where the small picture is as fine as the screen, or too many would be needed.
  tilesInSight({ overview, corner, right, down, tile_px: side, mm_per_px: pixel, tiles }, scale, low, high) {
    const small = this.pictures.get(overview);
    if (!small?.naturalWidth) return [];
    const columns = tiles.reduce((most, tile) => Math.max(most, tile[1]), 0) + 1;
    const smallPixel = (columns * side * pixel) / small.naturalWidth; // at most, in millimetres
    if (1000 / scale > 0.8 * smallPixel) return [];
    const found = tiles.filter(([row, column]) => {
      const xs = [];
      const ys = [];
      for (const [x, y] of [[column, row], [column + 1, row], [column, row + 1], [column + 1, row + 1]]) {
        xs.push(corner[0] + side * (x * right[0] + y * down[0]));
        ys.push(-(corner[1] + side * (x * right[1] + y * down[1])));
      }
      return Math.max(...xs) > low[0] && Math.min(...xs) < high[0] && Math.max(...ys) > low[1] && Math.min(...ys) < high[1];
    });
    return found.length <= MOST_TILES ? found : [];
  }

  picture(address) {
    let picture = this.pictures.get(address);
    if (!picture) {
      picture = new Image();
      picture.addEventListener("load", () => this.changed());
      picture.src = address;
    }
    this.pictures.delete(address);
    this.pictures.set(address, picture);
    for (const old of this.pictures.keys()) {
      if (this.pictures.size <= 2 * MOST_TILES) break;
      this.pictures.delete(old);
    }
    return picture;
  }
}
