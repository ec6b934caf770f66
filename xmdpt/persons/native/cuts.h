/* Cuts: which part of a layer a person has. xmdpt/persons/numpy_cuts.py does the same sums in the same order. */
#pragma once
#include <math.h>

#include "layout.h"

static int is_under_neckline(const Appearance *look, const float *rest) {
  float x = fabsf(rest[0]);
  if (look->neck_depth <= 0 || x >= look->neck_half_width) return 1;
  float share = x / look->neck_half_width;
  int is_front = rest[1] < -0.01f;
  float dip = is_front ? look->neck_depth : 0.25f * look->neck_depth;
  float shape = look->is_v_neck != 0 && is_front ? 1 - share : sqrtf(1 - share * share);
  return rest[2] <= 0.515f - dip * shape;
}

/* `margin` > 0 asks whether a point lies that far inside the cloth. */
static int is_in_top(const Appearance *look, const float *rest, float arm, float margin) {
  if (arm > look->sleeve_end - margin) return 0;
  if (rest[2] < look->hem + margin && arm < 0.2f) return 0;
  if (fabsf(rest[0]) < 0.10f && arm < -0.2f && rest[2] > look->collar - margin) return 0;
  return is_under_neckline(look, rest);
}

static int is_in_trousers(const Appearance *look, const float *rest, float arm, float margin) {
  return look->wears_trousers != 0 && arm <= -0.2f && rest[2] <= look->waist - margin &&
         rest[2] >= look->leg_end + margin;
}

static int is_in_skirt(const Appearance *look, const float *rest, float margin) {
  return look->wears_skirt != 0 && rest[2] > look->skirt_hem + margin;
}

static int is_long_hair(const float *rest) {
  if (rest[1] < -0.07f && rest[2] < 0.715f) return 0;
  return !(rest[1] < -0.04f && rest[2] < 0.70f && fabsf(rest[0]) < 0.076f);
}

static int is_scalp(const Appearance *look, const float *rest) {
  float y = rest[1], z = rest[2];
  if (z < 0.585f || (z < 0.60f && y < 0.02f)) return 0;
  if (y < -0.035f && z < 0.690f + 0.018f * look->hairline) return 0;
  if (y < -0.015f && z < 0.645f) return 0;
  return !(fabsf(rest[0]) > 0.066f && y < 0 && z < 0.66f);
}

static int is_cut_out(const Appearance *look, int layer, const float *rest, float arm) {
  switch (layer) {
    case LAYER_TROUSERS: return !is_in_trousers(look, rest, arm, 0);
    case LAYER_TOP: return !is_in_top(look, rest, arm, 0);
    case LAYER_SKIRT: return !is_in_skirt(look, rest, 0);
    case LAYER_LONG_HAIR: return rest[2] <= look->hair_end || !is_long_hair(rest);
    case LAYER_SCALP: return !is_scalp(look, rest);
    case LAYER_SHOES: return rest[2] >= look->shoe_top;
    default: return 0;
  }
}

static int is_worn(const Appearance *look, int layer) {
  switch (layer) {
    case LAYER_TROUSERS: return look->wears_trousers != 0;
    case LAYER_SKIRT: return look->wears_skirt != 0;
    case LAYER_LONG_HAIR: return look->has_long_hair != 0;
    default: return 1;
  }
}

/* Skin well under a garment is painted as the garment, so that no gap or bulge in it shows. */
static int layer_over_skin(const Appearance *look, const float *rest, float arm) {
  const float margin = 0.012f;
  if (is_in_top(look, rest, arm, margin)) return LAYER_TOP;
  if (is_in_trousers(look, rest, arm, margin)) return LAYER_TROUSERS;
  if (arm < -0.2f && rest[2] < 0.09f && is_in_skirt(look, rest, 3 * margin)) return LAYER_SKIRT;
  if (rest[2] < look->shoe_top - 0.005f) return LAYER_SHOES;
  return LAYER_SKIN;
}
