; Every elementwise instruction: shapes that repeat, roundings, results in place.
; design: fp8-16x16
.data 0x0 fp32 =3 =-2 =0.5 =7 =-1 =4
.data 0x20 fp16 =2 =5 =-4
.data 0x30 bf16 =10 =-1
.expect 0x100 fp32 =5 =3 =-3.5 =9 =4 =0
.expect 0x120 fp32 =1 =-7 =4.5 =5 =-6 =8
.expect 0x140 fp32 =6 =-10 =-2 =14 =-5 =-16
.expect 0x160 fp32 =1.5 =-0.4 =-0.125 =3.5 =-0.2 =-1
.expect 0x180 fp32 =3 =5 =0.5 =7 =5 =4
.expect 0x1a0 fp32 =2 =-2 =-4 =2 =-1 =-4
.expect 0x1c0 fp32 =3 =-2 =0 =7 =-1 =0
.expect 0x1e0 fp32 =16 =0 =8 =13 =-6 =-17
.expect 0x200 fp32 =-3 =2 =-0.5 =-7 =1 =-4
.expect 0x220 fp32 =3 =2 =0.5 =7 =1 =4
.expect 0x240 fp32 =3 =0 =0.5 =7 =0 =4
.expect 0x260 fp32 =3 =-2 =0.5 =7 =-1 =4
.expect 0x280 fp32 =12 =15 =6 =1 =4 =-5
.data 0x2a0 fp32 =17 =-17 =1000 =-1000 =19
.expect 0x2c0 e4m3fn 58 d8 7f 7f 5a
.expect 0x2c8 e4m3fn =18 =-16 =448 =-448 =20
.expect 0x2d0 e4m3fn =18 =-18 =448 =-448 =20
.expect 0x2d8 e4m3fn =16 =-18 =448 =-448 =18
.data 0x2e0 fp32 =1.5 =-2
.expect 0x2e0 fp32 =12 =-16
format f0, fp32
format f1, fp16
format f2, bf16
format f3, e4m3fn
tensor t0, f0, dram, 0, 2, 3
tensor t1, f1, dram, 0x20, 1, 3
tensor t2, f2, dram, 0x30, 2, 1
tensor t3, f0, dram, 0x100, 2, 3
vadd t3, t0, t1
tensor t3, f0, dram, 0x120, 2, 3
vsub t3, t0, t1
tensor t3, f0, dram, 0x140, 2, 3
vmul t3, t0, t1
tensor t3, f0, dram, 0x160, 2, 3
vdiv t3, t0, t1
tensor t3, f0, dram, 0x180, 2, 3
vmax t3, t0, t1
tensor t3, f0, dram, 0x1a0, 2, 3
vmin t3, t0, t1
tensor t3, f0, dram, 0x1c0, 2, 3
vgate t3, t0, t1
tensor t3, f0, dram, 0x1e0, 2, 3
vfma t3, t0, t1, t2
tensor t3, f0, dram, 0x200, 2, 3
vneg t3, t0
tensor t3, f0, dram, 0x220, 2, 3
vabs t3, t0
tensor t3, f0, dram, 0x240, 2, 3
vrelu t3, t0
tensor t3, f0, dram, 0x260, 2, 3
vcvt t3, t0
tensor t3, f0, dram, 0x280, 2, 3
vadd t3, t1, t2
vector rne, ieee, nan
tensor t4, f0, dram, 0x2a0, 1, 5
tensor t5, f3, dram, 0x2c0, 1, 5
vcvt t5, t4
vector rup, saturate, max
tensor t4, f0, dram, 0x2a0, 1, 5
tensor t5, f3, dram, 0x2c8, 1, 5
vcvt t5, t4
vector rmm, saturate, nan
tensor t4, f0, dram, 0x2a0, 1, 5
tensor t5, f3, dram, 0x2d0, 1, 5
vcvt t5, t4
vector rdn, saturate, max
tensor t4, f0, dram, 0x2a0, 1, 5
tensor t5, f3, dram, 0x2d8, 1, 5
vcvt t5, t4
tensor t6, f0, dram, 0x2e0, 1, 2
loop 3, 1
  vadd t6, t6, t6
