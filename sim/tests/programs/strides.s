; Strided views: transposed, reversed, repeated, blocks of rows, columns of a wider tensor.
; design: fp8-16x16
.data 0x40 fp16 =-3 =2 =1 =-1 =2 =-5 =-6 =-1 =-1 =-8 =-1 =4
.more =-6 =0 =-6 =-6 =-8 =-8 =1 =3 =7 =7 =-4 =-5
.more =8 =2 =-6 =8 =-3 =-3 =-4 =-4 =2 =1 =-5 =8
.more =1 =-4 =-2 =-4 =-7 =2 =-2 =-3 =1 =5 =-3 =-7
.expect 0x400 fp32 =-3 =-1 =-8 =8 =2 =-7 =2 =-8 =-8 =2 =1 =2
.more =1 =-1 =1 =-6 =-5 =-2 =-1 =4 =3 =8 =8 =-3
.more =2 =-6 =7 =-3 =1 =1 =-5 =0 =7 =-3 =-4 =5
.more =-6 =-6 =-4 =-4 =-2 =-3 =-1 =-6 =-5 =-4 =-4 =-7
.expect 0x500 fp32 =-7 =-3 =5 =1 =-3 =-2 =2 =-7 =-4 =-2 =-4 =1
.more =8 =-5 =1 =2 =-4 =-4 =-3 =-3 =8 =-6 =2 =8
.more =-5 =-4 =7 =7 =3 =1 =-8 =-8 =-6 =-6 =0 =-6
.more =4 =-1 =-8 =-1 =-1 =-6 =-5 =2 =-1 =1 =2 =-3
.expect 0x600 fp32 =-1 =-8 =-1 =4 =-6 =0 =-6 =-6 =-1 =-8 =-1 =4
.more =-6 =0 =-6 =-6 =-1 =-8 =-1 =4 =-6 =0 =-6 =-6
.more =-1 =-8 =-1 =4 =-6 =0 =-6 =-6
.expect 0x700 fp32 =-3 =2 =-1 =-6 =-8 =7 =8 =-3 =2 =1 =-7 =1
.expect 0x800 fp32 =-1 =4 =3 =8 =8 =-3
.expect 0x900 fp16 =-3 =2 =1 =-1 =3 =-2 =-1 =1 =-1 =-8 =-1 =4
.more =1 =8 =1 =-4 =-8 =-8 =1 =3 =8 =8 =-1 =-3
.more =8 =2 =-6 =8 =-8 =-2 =6 =-8 =2 =1 =-5 =8
.more =-2 =-1 =5 =-8 =-7 =2 =-2 =-3 =7 =-2 =2 =3
format f0, fp16
format f1, fp32
tensor t0, f0, dram, 0x40, 8, 6
stride t0, 8, 0, 1, 8
tensor t1, f1, dram, 0x400, 8, 6
vcvt t1, t0
tensor t2, f0, dram, 0x9e, 6, 8
stride t2, 6, 0, -8, -1
tensor t3, f1, dram, 0x500, 6, 8
vcvt t3, t2
tensor t4, f0, dram, 0x50, 4, 8
stride t4, 4, 0, 0, 1
tensor t5, f1, dram, 0x600, 4, 8
vcvt t5, t4
tensor t6, f0, dram, 0x40, 6, 2
stride t6, 2, 16, 8, 4
tensor t7, f1, dram, 0x700, 6, 2
vcvt t7, t6
tensor t8, f0, dram, 0x46, 6, 1
stride t8, 6, 0, 8, 1
tensor t9, f1, dram, 0x800, 6, 1
vcvt t9, t8
; Results side by side in one wider tensor.
tensor t20, f0, dram, 0x40, 6, 4
stride t20, 6, 0, 8, 1
tensor t21, f0, dram, 0x900, 6, 4
stride t21, 6, 0, 8, 1
vcvt t21, t20
tensor t22, f0, dram, 0x908, 6, 4
stride t22, 6, 0, 8, 1
vneg t22, t21
