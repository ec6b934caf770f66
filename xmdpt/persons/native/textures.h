/* Colour and brightness of surfaces. xmdpt/persons/numpy_textures.py does the same sums in the same order. */
#pragma once
#include <math.h>
#include <stdint.h>

#include "layout.h"

typedef struct {
  float rest[3];
  float arm;
  float normal[3];
} Point;

/* Inline, where fminf and fmaxf of the library, which care for NaN, would take half of all time. */
static inline float lesser(float a, float b) { return a < b ? a : b; }
static inline float greater(float a, float b) { return a > b ? a : b; }

static float hash(int x, int y, int z) {
  uint32_t h = (uint32_t)x * 374761393u + (uint32_t)y * 668265263u + (uint32_t)z * 2147483647u;
  h = (h ^ (h >> 13)) * 1274126177u;
  h ^= h >> 16;
  return (float)(h & 0xffffff) / 16777216.0f;
}

/* Smooth noise, 0..1. */
static float noise(float x, float y, float z) {
  float fx = floorf(x), fy = floorf(y), fz = floorf(z);
  int ix = (int)fx, iy = (int)fy, iz = (int)fz;
  float a = x - fx, b = y - fy, c = z - fz, sum = 0;
  a = a * a * (3 - 2 * a);
  b = b * b * (3 - 2 * b);
  c = c * c * (3 - 2 * c);
  for (int k = 0; k < 2; k++)
    for (int j = 0; j < 2; j++)
      for (int i = 0; i < 2; i++)
        sum += hash(ix + i, iy + j, iz + k) * (i ? a : 1 - a) * (j ? b : 1 - b) * (k ? c : 1 - c);
  return sum;
}

static float fraction(float x) { return x - floorf(x); }

/* Share of the second colour, 0..1. */
static float pattern_share(int pattern, float frequency, const float *rest, float arm) {
  float across = rest[0] * frequency;
  float height = arm > 0.25f ? -arm / ARM_PER_METRE : rest[2];
  float along = height * frequency;
  switch (pattern) {
    case PATTERN_HORIZONTAL_STRIPES: return fraction(along) < 0.5f;
    case PATTERN_VERTICAL_STRIPES: return fraction(across) < 0.4f;
    case PATTERN_CHECKS: return 0.5f * (fraction(along) < 0.5f) + 0.5f * (fraction(across) < 0.5f);
    case PATTERN_DOTS: {
      float x = fraction(across) - 0.5f, y = fraction(along) - 0.5f;
      return x * x + y * y < 0.08f;
    }
    case PATTERN_BLOCK: return height > 0.28f;
    case PATTERN_GRADIENT: return lesser(1, greater(0, (height + 0.1f) * 1.8f));
    case PATTERN_BLOTCHES: return noise(across, rest[1] * frequency, along) > 0.55f;
    case PATTERN_SLEEVES: return arm > 0.12f;
    case PATTERN_DIAGONAL_STRIPES: return fraction(along + across) < 0.5f;
    default: return 0;
  }
}

static int is_in_logo(const Appearance *look, const float *rest) {
  if (look->logo == LOGO_NONE || rest[1] >= 0) return 0;
  float x = rest[0] - look->logo_x, z = rest[2] - look->logo_z, radius = look->logo_radius;
  switch ((int)look->logo) {
    case LOGO_DISC: return x * x + z * z < radius * radius;
    case LOGO_BOX: return fabsf(x) < radius && fabsf(z) < 0.6f * radius;
    case LOGO_DIAMOND: return fabsf(x) + fabsf(z) < radius;
    default: return fabsf(z) < radius && fabsf(x) < 0.6f * (radius - z);
  }
}

static void mix(const float *first, const float *second, float share, float *colour) {
  for (int i = 0; i < 3; i++) colour[i] = first[i] + (second[i] - first[i]) * share;
}

static void skin_colour(const Appearance *look, const float *rest, float *colour) {
  float x = fabsf(rest[0]), y = rest[1], z = rest[2];
  mix(look->skin, look->skin, 0, colour);
  if (y < -0.095f && x < 0.024f && fabsf(z - 0.583f) < 0.009f * (1 - x / 0.03f)) mix(look->lips, look->lips, 0, colour);
  if (y < -0.085f && fabsf(x - 0.031f) < 0.018f && fabsf(z - 0.6725f + 0.1f * (x - 0.031f)) < 0.0035f)
    for (int i = 0; i < 3; i++) colour[i] = look->hair[i] * 0.8f + look->skin[i] * 0.1f;
  if (y < -0.08f && z > 0.59f && z < 0.64f && x > 0.02f) {
    colour[1] -= 0.06f;
    colour[2] -= 0.06f;
  }
}

static void eye_colour(const Appearance *look, const float *rest, float *colour) {
  float x = fabsf(rest[0]) - 0.0297f, z = rest[2] - 0.6486f;
  float distance = sqrtf(x * x + z * z);
  for (int i = 0; i < 3; i++) colour[i] = distance < 0.0030f ? 0.03f : distance < 0.0068f ? look->iris[i] : 0.9f;
}

static void surface_colour(const Appearance *look, int layer, const float *rest, float arm, float *colour) {
  float share;
  switch (layer) {
    case LAYER_SKIN: skin_colour(look, rest, colour); break;
    case LAYER_EYES: eye_colour(look, rest, colour); break;
    case LAYER_TOP:
      share = is_in_logo(look, rest) ? 1 : pattern_share((int)look->top_pattern, look->top_frequency, rest, arm);
      mix(look->top, look->top_accent, share, colour);
      break;
    case LAYER_TROUSERS:
    case LAYER_SKIRT:
      share = pattern_share((int)look->bottom_pattern, look->bottom_frequency, rest, -0.5f);
      mix(look->bottom, look->bottom_accent, share, colour);
      break;
    case LAYER_LONG_HAIR:
    case LAYER_SCALP:
      share = 0.75f + 0.5f * noise(rest[0] * 90 + look->texture_offset, rest[1] * 90, rest[2] * 9);
      for (int i = 0; i < 3; i++) colour[i] = look->hair[i] * share;
      break;
    default: /* shoes, with lighter soles */
      share = rest[2] < -0.853f ? 1.6f : 1.0f;
      for (int i = 0; i < 3; i++) colour[i] = look->shoes[i] * share;
  }
}

/* How bright a surface is: light and, on cloth, folds. */
static float brightness(const Appearance *look, const Scenery *scenery, int layer, const Point *at) {
  const float *n = at->normal, *rest = at->rest;
  float length = sqrtf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) + 1e-9f;
  float x = n[0] / length, y = n[1] / length, z = n[2] / length, crease = 1;
  float fold = layer == LAYER_SKIRT ? 1.4f : layer == LAYER_TOP || layer == LAYER_TROUSERS ? 1.0f : 0.0f;
  fold *= look->fold_strength;
  if (fold > 0) {
    float s = look->texture_offset;
    float coarse = noise(rest[0] * 14 + s, rest[1] * 14, rest[2] * 7 + s) - 0.5f;
    float fine = noise(rest[0] * 34, rest[1] * 34 + s, rest[2] * 20) - 0.5f;
    crease += fold * (0.7f * coarse + 0.4f * fine);
    x += fold * 0.8f * coarse;
    z += fold * 0.6f * fine;
  }
  const float *light = scenery->light;
  float facing = 0.5f * (x * light[0] + y * light[1] + z * light[2]) + 0.5f;
  float lit = scenery->ambience + (1 - scenery->ambience) * 1.25f * (facing * facing) + 0.06f * z;
  return lit * crease;
}
