// The area between two prices, which the library has no series for.
import { customSeriesDefaultOptions } from "lightweight-charts";

export class BandSeries {
  #renderer = new BandRenderer();

  renderer() {
    return this.#renderer;
  }

  priceValueBuilder({ low, high }) {
    return [low, high, (low + high) / 2];
  }

  isWhitespace(data) {
    return data.low === undefined;
  }

  update(data, options) {
    this.#renderer.update(data, options);
  }

  defaultOptions() {
    return { ...customSeriesDefaultOptions, color: "transparent" };
  }
}

class BandRenderer {
  #data = null;
  #options = null;

  update(data, options) {
    this.#data = data;
    this.#options = options;
  }

  draw(target, priceToCoordinate) {
    const range = this.#data?.visibleRange;
    if (!range) return;
    target.useBitmapCoordinateSpace(({ context, horizontalPixelRatio: wide, verticalPixelRatio: tall }) => {
      const bars = this.#data.bars.slice(range.from, range.to);
      if (!bars.length) return;
      context.beginPath();
      for (const { x, originalData } of bars) context.lineTo(x * wide, priceToCoordinate(originalData.high) * tall);
      for (const { x, originalData } of bars.reverse()) context.lineTo(x * wide, priceToCoordinate(originalData.low) * tall);
      context.closePath();
      context.fillStyle = this.#options.color;
      context.fill();
    });
  }
}
