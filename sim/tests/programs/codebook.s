; Codebooks: what a table holds is found and looked up again; then hysteresis and signs.
; design: fp8-16x16
.data 0x0 fp32 =0 =-1 =0.5 =2 7fc00000
.data 0x20 fp32 =0.24 =0.25 =0.26 =-3 =1.25 7f800000 ff800000 7fc00000
.data 0x40 int8 0 1 2 3 4 5 80 ff
.expect 0x60 int8 0 0 2 1 2 3 1 0
.expect 0x70 bf16 =0 =0 =0.5 =-1 =0.5 =2 =-1 =0
; Codes beyond the table stand for its last element, here NaN.
.expect 0x80 fp32 =0 =-1 =0.5 =2 7fc00000 7fc00000 7fc00000 7fc00000
; Codes of 4 bits, found in place.
.data 0xa0 e2m1f =1 =-6
.expect 0xa0 e2m1f 2 1
.data 0xb0 fp32 =1.06 =1.06 =-1.06 =-1.06
.data 0xc0 fp32 =1 =1.1 =-1.1 =-1
.expect 0xd0 e4m3fn =1 =1.125 =-1.125 =-1
.expect 0xe0 fp32 =1.06 =1.06 =-1.06 =-1.06
.expect 0xf0 fp32 =-1 =-1.1 =1.1 =1
format f0, fp32
format f1, int8
format f2, bf16
format f3, e2m1f
format f4, e4m3fn
tensor t0, f0, dram, 0, 1, 5
tensor t1, f0, dram, 0x20, 2, 4
tensor t2, f1, dram, 0x60, 2, 4
vfind t2, t1, t0
tensor t3, f2, dram, 0x70, 2, 4
vlook t3, t2, t0
tensor t4, f1, dram, 0x40, 1, 8
tensor t5, f0, dram, 0x80, 1, 8
vlook t5, t4, t0
tensor t6, f3, dram, 0xa0, 1, 2
vfind t6, t6, t0
tensor t7, f0, dram, 0xb0, 1, 4
tensor t8, f0, dram, 0xc0, 1, 4
tensor t9, f4, dram, 0xd0, 1, 4
; Its own rounding counts for nothing.
vector sr8, saturate, max
vhyst t9, t7, t8
tensor t10, f0, dram, 0xe0, 1, 4
vsign t10, t7, t8
tensor t11, f0, dram, 0xf0, 1, 4
vneg t11, t8
vsign t11, t8, t11
