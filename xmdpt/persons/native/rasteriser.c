/* The z-buffer that draws a dressed body. xmdpt/persons/numpy_rasteriser.py does the same sums in the same order.
 *
 * layout.h is generated from the Python classes: the structs Appearance and Scenery, the enums LAYER_*, PATTERN_* and
 * LOGO_*, and layer_material[].
 * Compile it without -ffast-math (which makes the whole process flush denormals) and with -ffp-contract=off (so that
 * the pictures do not depend on the computer).
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "cuts.h"
#include "layout.h"
#include "textures.h"

#define MAX_SUBSAMPLES 16
#define NOTHING (-1)

enum { FAILED_NO_MEMORY = 1 };

/* What one subsample shows: a triangle and the weights of its second and third corner. */
typedef struct {
  int32_t triangle;
  float second, third;
} Hit;

typedef struct {
  const float *positions, *normals, *rest, *arm;
  const int32_t *triangles;
  const uint8_t *layers;
} Mesh;

int num_appearance_numbers(void) { return sizeof(Appearance) / sizeof(float); }
int num_scenery_numbers(void) { return sizeof(Scenery) / sizeof(float); }

static void interpolate(const Mesh *mesh, const Hit *hit, float *rest, float *arm) {
  const int32_t *corners = mesh->triangles + 3 * hit->triangle;
  const float *a = mesh->rest + 3 * corners[0], *b = mesh->rest + 3 * corners[1], *c = mesh->rest + 3 * corners[2];
  float first = 1 - hit->second - hit->third;
  for (int i = 0; i < 3; i++) rest[i] = first * a[i] + hit->second * b[i] + hit->third * c[i];
  *arm = first * mesh->arm[corners[0]] + hit->second * mesh->arm[corners[1]] + hit->third * mesh->arm[corners[2]];
}

/* Twice the triangle's area in px, negative where it shows its front. */
static float signed_area(const float *a, const float *b, const float *c) {
  return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}

static void interpolate_normal(const Mesh *mesh, const Hit *hit, float *normal) {
  const int32_t *q = mesh->triangles + 3 * hit->triangle;
  const float *a = mesh->normals + 3 * q[0], *b = mesh->normals + 3 * q[1], *c = mesh->normals + 3 * q[2];
  float first = 1 - hit->second - hit->third;
  /* Cloth seen from inside is lit as if it were turned round. */
  float area = signed_area(mesh->positions + 3 * q[0], mesh->positions + 3 * q[1], mesh->positions + 3 * q[2]);
  float sign = area > 0 ? -1.0f : 1.0f;
  for (int i = 0; i < 3; i++) normal[i] = sign * (first * a[i] + hit->second * b[i] + hit->third * c[i]);
}

static void draw_triangle(const Mesh *mesh, const Appearance *look, int t, int side, Hit *hits, float *depth) {
  const int32_t *corners = mesh->triangles + 3 * t;
  const float *a = mesh->positions + 3 * corners[0], *b = mesh->positions + 3 * corners[1],
              *c = mesh->positions + 3 * corners[2];
  int layer = mesh->layers[t];
  float area = signed_area(a, b, c);
  if (fabsf(area) < 1e-6f || (layer == LAYER_SKIN && area > 0)) return;
  int left = (int)greater(0, ceilf(lesser(a[0], lesser(b[0], c[0])) - 0.5f));
  int right = (int)lesser(side - 1, floorf(greater(a[0], greater(b[0], c[0])) - 0.5f));
  int upper = (int)greater(0, ceilf(lesser(a[1], lesser(b[1], c[1])) - 0.5f));
  int lower = (int)lesser(side - 1, floorf(greater(a[1], greater(b[1], c[1])) - 0.5f));
  float inverse = 1 / area;
  for (int y = upper; y <= lower; y++)
    for (int x = left; x <= right; x++) {
      float dx = x + 0.5f - a[0], dy = y + 0.5f - a[1];
      Hit hit = {t, (dx * (c[1] - a[1]) - dy * (c[0] - a[0])) * inverse,
                 ((b[0] - a[0]) * dy - (b[1] - a[1]) * dx) * inverse};
      float first = 1 - hit.second - hit.third;
      if (first < 0 || hit.second < 0 || hit.third < 0) continue;
      float z = first * a[2] + hit.second * b[2] + hit.third * c[2];
      int place = y * side + x;
      if (z >= depth[place]) continue;
      if (layer != LAYER_SKIN && layer != LAYER_EYES) {
        float rest[3], arm;
        interpolate(mesh, &hit, rest, &arm);
        if (is_cut_out(look, layer, rest, arm)) continue;
      }
      depth[place] = z;
      hits[place] = hit;
    }
}

/* Average the subsamples of one pixel. Light is computed once per pixel and layer, colour for every subsample. */
static void shade_pixel(const Mesh *mesh, const Appearance *look, const Scenery *scenery, const float *background,
                        const Hit *const *hits, int num_subsamples, uint8_t *colour, uint8_t *material) {
  float sum[3] = {0}, light_of_layer[NUM_LAYERS];
  int count_of_material[NUM_MATERIALS] = {0};
  for (int l = 0; l < NUM_LAYERS; l++) light_of_layer[l] = -1;
  for (int s = 0; s < num_subsamples; s++) {
    if (hits[s]->triangle == NOTHING) {
      count_of_material[0]++;
      for (int i = 0; i < 3; i++) sum[i] += background[i];
      continue;
    }
    Point at;
    float surface[3];
    int layer = mesh->layers[hits[s]->triangle];
    interpolate(mesh, hits[s], at.rest, &at.arm);
    if (layer == LAYER_SKIN) layer = layer_over_skin(look, at.rest, at.arm);
    if (light_of_layer[layer] < 0) {
      interpolate_normal(mesh, hits[s], at.normal);
      light_of_layer[layer] = greater(0, brightness(look, scenery, layer, &at));
    }
    surface_colour(look, layer, at.rest, at.arm, surface);
    for (int i = 0; i < 3; i++) sum[i] += lesser(1, greater(0, surface[i] * light_of_layer[layer]));
    count_of_material[layer_material[layer]]++;
  }
  *material = 0;
  for (int m = 1; m < NUM_MATERIALS; m++)
    if (count_of_material[m] >= count_of_material[*material]) *material = (uint8_t)m;
  for (int i = 0; i < 3; i++) colour[i] = (uint8_t)(255 * (sum[i] / (float)num_subsamples) + 0.5f);
}

/* Draw one picture.
 *
 * positions: [vertices, 3] x and y in px of the subsampled picture, then depth in metres, all in front of the camera;
 * normals, rest: [vertices, 3]; arm: [vertices]; triangles: [num_triangles, 3]; layers: [num_triangles].
 * Fills picture [size, size, 3], materials [size, size] and depth [size * subsamples, size * subsamples].
 * Returns 0, or FAILED_NO_MEMORY.
 */
int draw(const float *positions, const float *normals, const float *rest, const float *arm, int num_triangles,
         const int32_t *triangles, const uint8_t *layers, const Appearance *look, const Scenery *scenery, int size,
         int subsamples, uint8_t *picture, uint8_t *materials, float *depth) {
  const Mesh mesh = {positions, normals, rest, arm, triangles, layers};
  int side = size * subsamples;
  Hit *hits = malloc(sizeof(Hit) * side * side);
  if (!hits) return FAILED_NO_MEMORY;
  for (int i = 0; i < side * side; i++) {
    depth[i] = INFINITY;
    hits[i].triangle = NOTHING;
  }
  for (int t = 0; t < num_triangles; t++)
    if (is_worn(look, layers[t])) draw_triangle(&mesh, look, t, side, hits, depth);
  for (int y = 0; y < size; y++) {
    float background[3];
    mix(scenery->upper_background, scenery->lower_background, (float)y / (float)size, background);
    for (int x = 0; x < size; x++) {
      const Hit *of_pixel[MAX_SUBSAMPLES];
      for (int s = 0; s < subsamples * subsamples; s++)
        of_pixel[s] = hits + (y * subsamples + s / subsamples) * side + x * subsamples + s % subsamples;
      int pixel = y * size + x;
      shade_pixel(&mesh, look, scenery, background, of_pixel, subsamples * subsamples, picture + 3 * pixel,
                  materials + pixel);
    }
  }
  free(hits);
  return 0;
}
